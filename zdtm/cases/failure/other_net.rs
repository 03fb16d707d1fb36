//! A child in another network namespace is refused with a word about it; the child goes on there.
//@ dump-fails: net namespace
//@ needs: [cap:sys_admin]
use crate::gate::{Gate, Verdict};
use crate::tools_relatives::child_in_namespace;

pub fn run(gate: &mut Gate) -> Verdict {
    child_in_namespace(gate, libc::CLONE_NEWNET, "net")
}
