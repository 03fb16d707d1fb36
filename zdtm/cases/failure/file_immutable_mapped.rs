//! The same for a file that is mapped to be written, and no longer open.
//@ dump-fails: immutable
//@ needs: [cap:linux_immutable]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{IMMUTABLE, set_chattr};
use crate::tools_memory::{Area, RW, page};
use std::fs::File;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::options().read(true).write(true).create_new(true).open(gate.path("file"))?;
    file.set_len(page() as u64)?;
    let area = Area::file(1, RW, libc::MAP_SHARED, &file, 0)?;
    set_chattr(&file, IMMUTABLE, true)?;
    drop(file);
    let passed = gate.checkpoint();
    set_chattr(&File::open(gate.path("file"))?, IMMUTABLE, false)?;
    passed?;
    area.set(0, 7);
    check_eq("the memory", area.word(0), 7)
}
