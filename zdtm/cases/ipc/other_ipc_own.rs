//! A child in another IPC namespace than the tree's own is refused.
//@ flavours: [ns]
//@ dump-fails: ipc namespace
use crate::gate::{Gate, Verdict};
use crate::tools_relatives::child_in_namespace;

pub fn run(gate: &mut Gate) -> Verdict {
    child_in_namespace(gate, libc::CLONE_NEWIPC, "ipc")
}
