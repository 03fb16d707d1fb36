//! A tree whose session is led by a process outside the tree is refused without `--shell-job`.
//@ session: shell
//@ dump-fails: the leader 1 of the session of process
use crate::gate::{Gate, Verdict, check_eq};
use nix::unistd::getsid;

pub fn run(gate: &mut Gate) -> Verdict {
    let before = getsid(None)?;
    gate.checkpoint()?;
    check_eq("the session", getsid(None)?, before)
}
