//! A child in another mount namespace is refused with a word about it; the child goes on there.
//@ dump-fails: mnt namespace
//@ needs: [cap:sys_admin]
use crate::gate::{Gate, Verdict};
use crate::tools_relatives::child_in_namespace;

pub fn run(gate: &mut Gate) -> Verdict {
    child_in_namespace(gate, libc::CLONE_NEWNS, "mnt")
}
