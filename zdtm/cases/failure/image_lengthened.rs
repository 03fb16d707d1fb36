//! A restore fails when one image is a byte too long, names the file and leaves nothing; the whole images serve.
//@ restore-fails: .img
//@ damage: ["append *.img"]
//@ timeout: 60
use crate::gate::{Gate, Verdict};
use crate::tools_relatives::ordinary_tree;

pub fn run(gate: &mut Gate) -> Verdict {
    ordinary_tree(gate)
}
