//! Positions and flags of open files: each access mode, append, nonblock, direct, noatime, sync, and what they do.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{flags, position, read_once, write_once};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Whence, lseek};
use std::os::fd::OwnedFd;

const CHOICES: [(OFlag, i64); 11] = [
    (OFlag::O_RDONLY, 0),
    (OFlag::O_RDONLY, 7),
    (OFlag::O_WRONLY, 4000),
    (OFlag::O_RDWR, 5000),
    (OFlag::O_WRONLY.union(OFlag::O_APPEND), 11),
    (OFlag::O_RDWR.union(OFlag::O_NONBLOCK), 12),
    (OFlag::O_RDONLY.union(OFlag::O_DIRECT), 4096),
    (OFlag::O_RDONLY.union(OFlag::O_NOATIME), 13),
    (OFlag::O_RDWR.union(OFlag::O_SYNC), 14),
    (OFlag::O_WRONLY.union(OFlag::O_DSYNC), 15),
    // Flags that act only once: nothing may be created or cut off again at restore.
    (OFlag::O_RDWR.union(OFlag::O_CREAT).union(OFlag::O_NOCTTY), 16),
];

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("file");
    std::fs::write(&path, vec![b'.'; 8192])?;
    let mut files: Vec<(OwnedFd, i32, i64)> = Vec::new();
    for (flag, offset) in CHOICES {
        let fd = open(&path, flag, Mode::from_bits_truncate(0o600))?;
        lseek(&fd, offset, Whence::SeekSet)?;
        let now = flags(&fd)?;
        files.push((fd, now, offset));
    }
    gate.checkpoint()?;
    for (n, (fd, was, offset)) in files.iter().enumerate() {
        check_eq(&format!("the flags of file {n}"), format!("{:o}", flags(fd)?), format!("{was:o}"))?;
        check_eq(&format!("the position of file {n}"), position(fd)?, *offset)?;
        let writable = was & libc::O_ACCMODE != libc::O_RDONLY;
        let written = nix::unistd::write(fd, b"x");
        check_eq(&format!("writing to file {n}"), written, if writable { Ok(1) } else { Err(Errno::EBADF) })?;
    }
    check_eq("reading a write-only file", read_once(&files[2].0, 1), Err(Errno::EBADF))?;
    check_eq("the position after appending", position(&files[4].0)?, 8193)?;
    check_eq("the file's size", std::fs::metadata(&path)?.len(), 8193)?;
    check_eq("an unaligned direct read", read_once(&files[6].0, 100), Err(Errno::EINVAL))?;
    write_once(&files[3].0, b"after")?;
    check_eq("the position after a write", position(&files[3].0)?, 5006)
}
