//! A child in another user namespace is refused with a word about it; the child goes on there.
//@ dump-fails: user namespace
use crate::gate::{Gate, Verdict};
use crate::tools_relatives::child_in_namespace;

pub fn run(gate: &mut Gate) -> Verdict {
    child_in_namespace(gate, libc::CLONE_NEWUSER, "user")
}
