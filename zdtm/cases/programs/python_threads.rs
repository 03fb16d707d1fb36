//! python3 computes in four threads, with a queue, thread-local data and a condition, and comes to the known result.
//@ needs: [prog:python3]
//@ witness: -maps -pss # the program allocates all the time
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_programs::Program;

const STEPS: usize = 20_000;

const SCRIPT: &str = r#"
import os, queue, threading, time

def chain(x):
    for _ in range(20000):
        x = (x * 6364136223846793005 + 1442695040888963407) & 0xffffffffffffffff
    return x

local, results, rounds = threading.local(), queue.Queue(), [0] * 4
condition = threading.Condition()
wrong = []

def work(n):
    local.n = n
    first = chain(n)
    results.put((n, first))
    while rounds[n] < 2 or not os.path.exists("stop"):
        if chain(local.n) != first:
            wrong.append(n)
        rounds[n] += 1
        if rounds[n] == 2:
            with condition:
                condition.notify_all()

def sleep():
    while not os.path.exists("stop"):
        time.sleep(0.003)

threads = [threading.Thread(target=work, args=(n,)) for n in range(4)] + [threading.Thread(target=sleep)]
for t in threads:
    t.start()
with condition:
    condition.wait_for(lambda: all(r >= 2 for r in rounds))
open("progress", "w").close()
for t in threads:
    t.join()
for n, result in sorted(results.get() for _ in range(4)):
    print(n, result)
print("wrong", wrong)
"#;

pub fn run(gate: &mut Gate) -> Verdict {
    let program = Program::start(gate, "python3", &["-c", SCRIPT])?;
    program.await_progress(gate)?;
    gate.checkpoint()?;
    let chain = |seed: u64| {
        (0..STEPS).fold(seed, |x, _| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    let want: String = (0..4).map(|n| format!("{n} {}\n", chain(n))).collect();
    check_eq("what the program says", program.stop(gate)?, want + "wrong []\n")
}
