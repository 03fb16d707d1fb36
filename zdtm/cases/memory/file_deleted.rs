//! A deleted file that is only mapped (shared twice, and privately) keeps its data and stays one file.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_maps::map_of;
use crate::tools_memory::{Area, RW, page};
use std::fs::{self, OpenOptions};

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("deleted");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    file.set_len(8 * page() as u64)?;
    let one = Area::file(8, RW, libc::MAP_SHARED, &file, 0)?;
    let two = Area::file(4, RW, libc::MAP_SHARED, &file, 4)?;
    let private = Area::file(8, RW, libc::MAP_PRIVATE, &file, 0)?;
    one.fill(3);
    private.set(1, 111);
    drop(file);
    fs::remove_file(&path)?;
    gate.checkpoint()?;
    one.check_fill("the deleted file", 3)?;
    check_eq("the private page", private.word(1), 111)?;
    check_eq("an unwritten page of the private mapping", private.word(7), one.word(7))?;
    one.set(6, 66);
    check_eq("a page written through the first mapping, in the second", two.word(2), 66)?;
    check_eq("the same page in the private mapping", private.word(6), 66)?;
    check("the name of the mapping ends in (deleted)", map_of(two.at(0))?.name.ends_with("/deleted (deleted)"))?;
    check_eq("the path exists", path.exists(), false)
}
