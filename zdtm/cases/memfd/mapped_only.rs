//! Memory files that are only mapped keep their data, in full and in part, also what is not mapped of them.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::map_of;
use crate::tools_memfd::memfd;
use crate::tools_memory::{Area, R, RW, page};

pub fn run(gate: &mut Gate) -> Verdict {
    let file = memfd(b"zdtm", 0)?;
    file.set_len(8 * page() as u64)?;
    let whole = Area::file(8, RW, libc::MAP_SHARED, &file, 0)?;
    whole.fill(1);
    let part = Area::file(2, R, libc::MAP_SHARED, &file, 5)?;
    whole.part(0..4).unmap()?;
    drop(file);
    let name = map_of(part.at(0))?.name;
    gate.checkpoint()?;
    let rest = whole.part(4..8);
    rest.set(1, 77);
    check_eq("the same page in both", part.word(0), 77)?;
    check_eq("the name", (map_of(rest.at(0))?.name, map_of(part.at(0))?.name), (name.clone(), name))?;
    // The page before the rest of the area is still in the file.
    let first = std::fs::File::open(format!("/proc/self/map_files/{:x}-{:x}", part.at(0), part.at(2)))?;
    let all = Area::file(8, R, libc::MAP_SHARED, &first, 0)?;
    check_eq("the second page, mapped again", all.word(5), 77)?;
    all.part(0..4).check_fill("what was not mapped", 1)
}
