//! A directory that was deleted when it had been read to its end keeps its position.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{position, stat};
use std::fs::{self, File};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("gone");
    fs::create_dir(&path)?;
    let directory = File::open(&path)?;
    let mut entries = [0u8; 4096];
    // SAFETY: the buffer has the length given.
    let read =
        unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), entries.as_mut_ptr(), entries.len()) };
    nix::errno::Errno::result(read)?;
    fs::remove_dir(&path)?;
    let before = position(&directory)?;
    check_eq("that it was read", before > 0, true)?;
    gate.checkpoint()?;
    check_eq("the position", position(&directory)?, before)?;
    check_eq("its links", stat(&directory)?.st_nlink, 0)
}
