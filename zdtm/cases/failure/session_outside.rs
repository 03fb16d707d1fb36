//! A tree whose session is led from outside of the pid namespace is refused without `--shell-job`.
//@ session: outside
//@ dump-fails: the leader of the session of process
use crate::gate::{Gate, Verdict, check_eq};
use nix::unistd::getsid;

pub fn run(gate: &mut Gate) -> Verdict {
    let before = getsid(None)?;
    gate.checkpoint()?;
    check_eq("the session", getsid(None)?, before)
}
