//! A restore fails when another process has a pid of the tree, names the pid, and leaves nothing.
//@ restore-fails: pid
//@ damage: take-pid
use crate::gate::{Gate, Verdict};
use crate::tools_relatives::ordinary_tree;

pub fn run(gate: &mut Gate) -> Verdict {
    ordinary_tree(gate)
}
