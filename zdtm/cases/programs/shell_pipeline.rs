//! A shell pipeline at work (a counting loop into awk into tail) loses and doubles no line.
//@ needs: [prog:sh, prog:awk, prog:tail]
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_programs::Program;

const SCRIPT: &str = r#"
i=0
while [ "$i" -lt 3000 ] || [ ! -e stop ]; do echo "$i"; i=$((i + 1)); done |
awk '{ sum += $1; if ($1 != NR - 1) wrong++; printf "%d %.0f %d\n", NR, sum, wrong }
     NR == 2000 { printf "" > "progress"; close("progress") }' |
tail -n 1
"#;

pub fn run(gate: &mut Gate) -> Verdict {
    let program = Program::start(gate, "sh", &["-c", SCRIPT])?;
    program.await_progress(gate)?;
    gate.checkpoint()?;
    let said = program.stop(gate)?;
    let Some(lines) = said.split(' ').next().and_then(|n| n.parse::<u64>().ok()) else {
        return fail(format!("the pipeline says {said:?}"));
    };
    check_eq("what the pipeline says", said, format!("{lines} {} 0\n", lines * (lines - 1) / 2))
}
