//! Positions beyond 4 GiB and beyond the end of the file stay; a write there makes the file as large as it should.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{position, read_once, write_once};
use nix::unistd::{Whence, lseek};
use std::fs::File;

pub fn run(gate: &mut Gate) -> Verdict {
    let open = |name: &str| File::options().read(true).write(true).create_new(true).open(gate.path(name));
    let (sparse, short) = (open("sparse")?, open("short")?);
    sparse.set_len(6 << 30)?;
    lseek(&sparse, (5 << 30) + 1, Whence::SeekSet)?;
    lseek(&short, 1_000_000, Whence::SeekSet)?;
    gate.checkpoint()?;
    check_eq("the position in the sparse file", position(&sparse)?, (5 << 30) + 1)?;
    check_eq("a read in the hole", read_once(&sparse, 3)?, vec![0; 3])?;
    check_eq("the position beyond the end", position(&short)?, 1_000_000)?;
    check_eq("a read beyond the end", read_once(&short, 3)?, vec![])?;
    write_once(&short, b"end")?;
    check_eq("the sizes", (sparse.metadata()?.len(), short.metadata()?.len()), (6 << 30, 1_000_003))
}
