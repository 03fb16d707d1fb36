//! The tail of a shared anonymous object that nobody maps any more is still there when mremap grows the mapping again.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_memory::{Area, NONE, read_fault};
use nix::sys::signal::Signal;

pub fn run(gate: &mut Gate) -> Verdict {
    let area = Area::shared(8)?;
    area.fill(1);
    let tail: Vec<u64> = (4..8).map(|n| area.word(n)).collect();
    area.part(4..8).unmap()?;
    // Nothing else may take the place of the tail.
    Area::raw(area.at(4), 4, NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED, -1, 0)?;
    gate.checkpoint()?;
    area.part(0..4).check_fill("the mapped part", 1)?;
    let grown = area.part(0..4).remap(10, libc::MREMAP_MAYMOVE, 0)?;
    check("the mapping has moved", grown.at(0) != area.at(0))?;
    check_eq("the tail", (4..8).map(|n| grown.word(n)).collect(), tail)?;
    check_eq("reading beyond the object", read_fault(grown.at(8))?, Some(Signal::SIGBUS))
}
