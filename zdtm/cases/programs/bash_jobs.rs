//! bash waits for background jobs and a coprocess; its trap still runs, its jobs still end, its variables are right.
//@ needs: [prog:bash, prog:cat, prog:sleep]
//@ witness: -SigBlk # bash blocks SIGCHLD for moments as it loops
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_programs::Program;
use crate::tools_relatives::until;
use nix::sys::signal::{Signal, kill};

const SCRIPT: &str = r#"
declare -A seen=([one]=1 [two]=2)
traps=0
trap 'traps=$((traps + 1)); echo "$traps" > trapped' USR1
coproc ECHO { cat; }
work() {
    local i=0
    while [ ! -e stop ]; do i=$((i + 1)); [ "$i" -eq 200 ] && : > "working-$1"; done
    return "$1"
}
work 3 & first=$!
work 4 & second=$!
until [ -e working-3 ] && [ -e working-4 ]; do sleep 0.01; done
echo first >&"${ECHO[1]}"
read -r line <&"${ECHO[0]}"
: > progress
wait "$first"; code=$?
# A trapped signal ends wait early: ask again.
while [ "$code" -gt 128 ]; do wait "$first"; code=$?; done
wait "$second"; other=$?
echo "round trip" >&"${ECHO[1]}"
read -r line <&"${ECHO[0]}"
echo "$code $other $line $traps ${seen[one]}${seen[two]}"
"#;

pub fn run(gate: &mut Gate) -> Verdict {
    let program = Program::start(gate, "bash", &["-c", SCRIPT])?;
    program.await_progress(gate)?;
    gate.checkpoint()?;
    kill(program.pid, Signal::SIGUSR1)?;
    until("the trap to run", || Ok(gate.path("trapped").exists()))?;
    check_eq("what the program says", program.stop(gate)?, "3 4 round trip 1 12\n".to_owned())
}
