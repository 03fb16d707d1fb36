//! Pages of a mapping beyond the end of its file still raise SIGBUS, and become usable when the file grows.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, RW, page, read_fault};
use nix::sys::signal::Signal;
use std::fs::OpenOptions;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(gate.path("short"))?;
    file.set_len(page() as u64 * 3 / 2)?;
    let shared = Area::file(6, RW, libc::MAP_SHARED, &file, 0)?;
    let private = Area::file(6, RW, libc::MAP_PRIVATE, &file, 0)?;
    shared.set(1, 1);
    private.set(0, 2);
    gate.checkpoint()?;
    for area in [shared, private] {
        check_eq("reading the last page of the file", read_fault(area.at(1))?, None)?;
        check_eq("reading the first page beyond", read_fault(area.at(2))?, Some(Signal::SIGBUS))?;
        check_eq("reading the last page beyond", read_fault(area.at(5))?, Some(Signal::SIGBUS))?;
    }
    check_eq("a word of the shared mapping", shared.word(1), 1)?;
    check_eq("a word of the private mapping", private.word(0), 2)?;
    check_eq("the file's size", file.metadata()?.len(), page() as u64 * 3 / 2)?;
    file.set_len(page() as u64 * 4)?;
    shared.set(3, 3);
    check_eq("a word of the file's new page, privately", private.word(3), 3)?;
    check_eq("reading beyond the new end", read_fault(shared.at(4))?, Some(Signal::SIGBUS))
}
