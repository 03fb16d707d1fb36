//! A tree with namespaces of its own: memory, files, a pipe and a child as ever.
//@ flavours: [ns]
use crate::gate::{Gate, Verdict};

pub fn run(gate: &mut Gate) -> Verdict {
    crate::tools_relatives::ordinary_tree(gate)
}
