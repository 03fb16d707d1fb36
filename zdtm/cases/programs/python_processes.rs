//! python3 hands work to forked children through pipes and adds their answers up; children wait, compute, and exit.
//@ needs: [prog:python3]
//@ witness: -maps -pss # the program allocates all the time
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_programs::Program;

const SCRIPT: &str = r#"
import os, struct

def worker(questions, answers):
    while True:
        data = os.read(questions, 8)
        if not data:
            os._exit(0)
        n, = struct.unpack("q", data)
        os.write(answers, struct.pack("qq", n, sum(i * i for i in range(n % 1000))))

ask, tell, children = [], [], []
questions_read, questions_write = os.pipe()
answers_read, answers_write = os.pipe()
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        os.close(questions_write)
        os.close(answers_read)
        worker(questions_read, answers_write)
    children.append(pid)
asked = total = 0
# Four questions are always under way.
for _ in range(4):
    os.write(questions_write, struct.pack("q", asked))
    asked += 1
answered = 0
while answered < asked:
    data = os.read(answers_read, 16)
    n, answer = struct.unpack("qq", data)
    total += answer
    answered += 1
    if answered == 500:
        open("progress", "w").close()
    if answered < 1000 or not os.path.exists("stop"):
        os.write(questions_write, struct.pack("q", asked))
        asked += 1
os.close(questions_write)
codes = [os.waitpid(pid, 0)[1] for pid in children]
print(asked, total, codes)
"#;

pub fn run(gate: &mut Gate) -> Verdict {
    let program = Program::start(gate, "python3", &["-c", SCRIPT])?;
    program.await_progress(gate)?;
    gate.checkpoint()?;
    let said = program.stop(gate)?;
    let Some(asked) = said.split(' ').next().and_then(|n| n.parse::<u64>().ok()) else {
        return fail(format!("the program says {said:?}"));
    };
    let total: u64 = (0..asked).map(|n| (0..n % 1000).map(|i| i * i).sum::<u64>()).sum();
    check_eq("what the program says", said, format!("{asked} {total} [0, 0, 0]\n"))
}
