//! A pipe opened again through /proc with another access mode: one pipe, open files of their own.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{flags, read_once, same_description, stat, write_once};
use nix::errno::Errno;
use nix::unistd::{getpid, pipe};
use std::fs::File;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (reader, writer) = pipe()?;
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let both = File::options().read(true).write(true).open(&path)?;
    let second = File::open(&path)?;
    drop(writer);
    write_once(&both, b"around")?;
    gate.checkpoint()?;
    let mode = |fd: i32| flags(&fd).map(|f| f & libc::O_ACCMODE);
    let modes = (mode(reader.as_raw_fd())?, mode(both.as_raw_fd())?, mode(second.as_raw_fd())?);
    check_eq("access modes", modes, (libc::O_RDONLY, libc::O_RDWR, libc::O_RDONLY))?;
    check_eq(
        "the pipe's inode",
        (stat(&both)?.st_ino, stat(&second)?.st_ino),
        (stat(&reader)?.st_ino, stat(&reader)?.st_ino),
    )?;
    check_eq("one description", same_description(&reader, getpid(), second.as_raw_fd())?, false)?;
    check_eq("a first read", read_once(&second, 3)?, b"aro".to_vec())?;
    check_eq("a second read", read_once(&both, 3)?, b"und".to_vec())?;
    check_eq("writing by a reader", nix::unistd::write(&second, b"x"), Err(Errno::EBADF))?;
    drop(both);
    check_eq("the end when the last writer is gone", read_once(&reader, 3)?, vec![])
}
