//! A memory file that is only mapped is refused by name; its data stay.
//@ dump-fails: "/memfd:"
use crate::gate::{Gate, Verdict};
use crate::tools_files::owned;
use crate::tools_memory::{Area, RW, page};

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the name outlives the call.
    let file = owned(unsafe { libc::memfd_create(c"zdtm".as_ptr(), 0) }.into())?;
    nix::unistd::ftruncate(&file, 2 * page() as i64)?;
    let area = Area::file(2, RW, libc::MAP_SHARED, &file, 0)?;
    drop(file);
    area.fill(1);
    gate.checkpoint()?;
    area.check_fill("the memory file", 1)
}
