//! A deleted file larger than the limit is refused with an error that names the option, and the process goes on.
//@ dump-fails: ghost-limit
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{position, write_once};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::create_new(gate.path("large"))?;
    write_once(&file, &vec![b'x'; 2 << 20])?;
    fs::remove_file(gate.path("large"))?;
    gate.checkpoint()?;
    write_once(&file, b"more")?;
    check_eq("the position", position(&file)?, (2 << 20) + 4)
}
