//! A restore fails when one image is missing, names the file and leaves nothing; the whole images serve.
//@ restore-fails: .img
//@ damage: ["remove core-*", "remove mm-*", "remove pagemap-*", "remove pages-*", "remove fdinfo-*"]
//@ damage: ["remove files.img", "remove pstree.img", "remove inventory.img"]
//@ timeout: 60
use crate::gate::{Gate, Verdict};
use crate::tools_relatives::ordinary_tree;

pub fn run(gate: &mut Gate) -> Verdict {
    ordinary_tree(gate)
}
