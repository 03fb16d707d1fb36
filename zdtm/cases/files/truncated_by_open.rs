//! A file opened with O_CREAT, O_EXCL and O_TRUNC keeps what was written since; its descriptor goes on behind it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

pub fn run(gate: &mut Gate) -> Verdict {
    let mode = Mode::from_bits_truncate(0o640);
    let new = open(&gate.path("new"), OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY, mode)?;
    std::fs::write(gate.path("old"), b"what is cut off")?;
    let old = open(&gate.path("old"), OFlag::O_TRUNC | OFlag::O_RDWR, mode)?;
    write_once(&new, b"one ")?;
    write_once(&old, b"two ")?;
    gate.checkpoint()?;
    write_once(&new, b"more")?;
    write_once(&old, b"more")?;
    check_eq("the end of the old file", read_once(&old, 10)?, vec![])?;
    let both = (std::fs::read_to_string(gate.path("new"))?, std::fs::read_to_string(gate.path("old"))?);
    check_eq("the contents", both, ("one more".to_owned(), "two more".to_owned()))
}
