//! make with three jobs at a time, waiting for two that run, starts the rest and makes everything in order.
//@ needs: [prog:make, prog:sh]
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_programs::Program;

const RULES: &str = "
all: last
\t@echo all made
last: a b c d
\t@cat a b c d > last
a b:
\t@i=0; while [ ! -e stop ]; do i=$$((i + 1)); [ $$i -eq 100 ] && : > working-$@; done; echo $@ > $@; :
c: a
\t@echo c after $$(cat a) > c
d: b
\t@echo d after $$(cat b) > d
";

pub fn run(gate: &mut Gate) -> Verdict {
    std::fs::write(gate.path("Makefile"), RULES)?;
    let program = Program::start(gate, "make", &["-j3", "--no-print-directory"])?;
    program.await_file(gate, "working-a")?;
    program.await_file(gate, "working-b")?;
    gate.checkpoint()?;
    check_eq("what make says", program.stop(gate)?, "all made\n".to_owned())?;
    check_eq("what it made", std::fs::read_to_string(gate.path("last"))?, "a\nb\nc after a\nd after b\n".to_owned())
}
