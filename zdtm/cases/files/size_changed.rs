//! A file whose size has changed, or that is gone, since the dump fails the restore with an error that names it.
//@ restore-fails: watched
//@ damage: ["append scratch:watched", "truncate scratch:watched", "remove scratch:watched"]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::read_once;
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    fs::write(gate.path("watched"), b"0123456789")?;
    let file = File::open(gate.path("watched"))?;
    read_once(&file, 8)?;
    gate.checkpoint()?;
    check_eq("the rest", read_once(&file, 10)?, b"89".to_vec())
}
