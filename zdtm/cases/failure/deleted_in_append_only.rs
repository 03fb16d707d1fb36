//! A deleted file in a directory that became append-only is refused: a name made there could not be taken away.
//@ dump-fails: chattr -i -a
//@ needs: [cap:linux_immutable]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{APPEND_ONLY, read_once, set_chattr};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let place = gate.path("place");
    fs::create_dir(&place)?;
    fs::write(place.join("file"), b"data")?;
    let file = File::open(place.join("file"))?;
    fs::remove_file(place.join("file"))?;
    let directory = File::open(&place)?;
    set_chattr(&directory, APPEND_ONLY, true)?;
    let passed = gate.checkpoint();
    set_chattr(&directory, APPEND_ONLY, false)?;
    passed?;
    check_eq("the data", read_once(&file, 10)?, b"data".to_vec())
}
