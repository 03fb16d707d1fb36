//! A memory file is refused by name; its data stay.
//@ dump-fails: "/memfd:"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{owned, read_once, write_once};
use nix::unistd::{Whence, lseek};

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the name outlives the call.
    let file = owned(unsafe { libc::memfd_create(c"zdtm".as_ptr(), 0) }.into())?;
    write_once(&file, b"data")?;
    gate.checkpoint()?;
    lseek(&file, 0, Whence::SeekSet)?;
    check_eq("the data", read_once(&file, 10)?, b"data".to_vec())
}
