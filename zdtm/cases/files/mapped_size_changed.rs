//! A mapped file without a descriptor that is gone or cut off since the dump fails the restore, naming the file.
//@ restore-fails: watched
//@ damage: ["truncate scratch:watched", "remove scratch:watched"]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, R, page};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    fs::write(gate.path("watched"), vec![b'w'; 4 * page()])?;
    let area = Area::file(4, R, libc::MAP_PRIVATE, &File::open(gate.path("watched"))?, 0)?;
    gate.checkpoint()?;
    check_eq("the last page", area.word(3), u64::from_ne_bytes([b'w'; 8]))
}
