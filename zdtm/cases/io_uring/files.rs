//! Ordinary reads and writes, and registered files with an empty slot among them.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_uring::{FIXED_FILE, READ, Request, Ring, WRITE, transfer};
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let open = |name: &str| OpenOptions::new().read(true).write(true).create_new(true).open(gate.path(name));
    let (plain, first, second) = (open("plain")?, open("the first")?, open("second")?);
    let mut ring = Ring::new(8)?;
    ring.register_files(&[first.as_raw_fd(), -1, second.as_raw_fd()])?;
    let text = *b"by a ring";
    let write = |fd, flags| Request { flags, ..transfer(WRITE, fd, text.as_ptr() as usize, 9, 0) };
    check_eq("a write", ring.result(write(plain.as_raw_fd(), 0))?, 9)?;
    gate.checkpoint()?;
    check_eq("a write to the first slot", ring.result(write(0, FIXED_FILE))?, 9)?;
    check_eq("a write to the empty slot", ring.result(write(1, FIXED_FILE))?, -libc::EBADF)?;
    check_eq("a write to the last slot", ring.result(write(2, FIXED_FILE))?, 9)?;
    check_eq("a write to no slot", ring.result(write(3, FIXED_FILE))?, -libc::EBADF)?;
    let mut back = [0u8; 9];
    check_eq("a read", ring.result(transfer(READ, plain.as_raw_fd(), back.as_mut_ptr() as usize, 9, 0))?, 9)?;
    check_eq("what was read", std::hint::black_box(back), text)?;
    for name in ["the first", "second"] {
        check_eq("what was written", std::fs::read(gate.path(name))?, text.to_vec())?;
    }
    Ok(())
}
