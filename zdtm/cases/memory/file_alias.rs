//! Two shared mappings of one file alias each other, also where the file was opened twice and one is read-only.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, R, RW, page, write_fault};
use nix::sys::signal::Signal;
use std::fs::{File, OpenOptions};

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("aliased");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    file.set_len(4 * page() as u64)?;
    let writer = Area::file(4, RW, libc::MAP_SHARED, &file, 0)?;
    let reader = Area::file(4, R, libc::MAP_SHARED, &File::open(&path)?, 0)?;
    let second = Area::file(2, RW, libc::MAP_SHARED, &file, 2)?;
    writer.set(2, 2);
    gate.checkpoint()?;
    check_eq("the page written before", (reader.word(2), second.word(0)), (2, 2))?;
    for value in 0..100 {
        writer.set(3, value);
        check_eq("a page through the aliases", (reader.word(3), second.word(1)), (value, value))?;
        second.set(0, value * 3);
        check_eq("and the other way", (writer.word(2), reader.word(2)), (value * 3, value * 3))?;
    }
    check_eq("writing through the read-only alias", write_fault(reader.at(0))?, Some(Signal::SIGSEGV))
}
