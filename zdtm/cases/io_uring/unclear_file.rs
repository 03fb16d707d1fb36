//! A registered file that no process has as a descriptor any more is refused.
//@ dump-fails: "its registered file"
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_uring::{FIXED_FILE, Request, Ring, WRITE, transfer};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let mut ring = Ring::new(8)?;
    let file = std::fs::File::create(gate.path("file"))?;
    ring.register_files(&[file.as_raw_fd()])?;
    drop(file);
    gate.checkpoint()?;
    let text = *b"x";
    let request = Request { flags: FIXED_FILE, ..transfer(WRITE, 0, text.as_ptr() as usize, 1, 0) };
    check_eq("a write", ring.result(request)?, 1)
}
