//! A job on a shell's terminal is refused without `--shell-job`.
//@ session: terminal
//@ dump-fails: the leader 1 of the session of process
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_terminals::get;

pub fn run(gate: &mut Gate) -> Verdict {
    gate.checkpoint()?;
    let group = get(&std::io::stdin(), libc::TIOCGPGRP)?;
    check_eq("the foreground group", group, nix::unistd::getpid().as_raw())
}
