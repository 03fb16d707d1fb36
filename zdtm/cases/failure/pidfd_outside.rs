//! A pidfd of a process outside the tree is refused with its pid.
//@ dump-fails: "which is outside the tree"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{pidfd, signal};

pub fn run(gate: &mut Gate) -> Verdict {
    let parent = pidfd(nix::unistd::getppid(), 0)?;
    gate.checkpoint()?;
    check_eq("a signal that is none", signal(&parent, 0), Ok(()))
}
