//! A process that talks to itself through both ends of its pipes, one of them known by the same number twice.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{fcntl, read_once, write_once};
use nix::unistd::pipe;
use std::os::fd::{FromRawFd, OwnedFd};

pub fn run(gate: &mut Gate) -> Verdict {
    let (reader, writer) = pipe()?;
    write_once(&writer, b"to myself")?;
    let far = fcntl(&reader, libc::F_DUPFD_CLOEXEC, 500)?;
    // SAFETY: just made, owned by nothing else.
    let far = unsafe { OwnedFd::from_raw_fd(far) };
    gate.checkpoint()?;
    check_eq("bytes waiting", waiting(&far)?, 9)?;
    check_eq("close-on-exec of both", (fcntl(&reader, libc::F_GETFD, 0)?, fcntl(&far, libc::F_GETFD, 0)?), (0, 1))?;
    check_eq("a part by one number", read_once(&reader, 3)?, b"to ".to_vec())?;
    write_once(&writer, b" again")?;
    check_eq("the rest by the other", read_once(&far, 100)?, b"myself again".to_vec())?;
    check_eq("bytes waiting", waiting(&reader)?, 0)
}

/// FIONREAD.
fn waiting(fd: &OwnedFd) -> Verdict<i32> {
    let mut count = 0;
    // SAFETY: the kernel writes one int.
    nix::errno::Errno::result(unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(fd), libc::FIONREAD, &mut count) })?;
    Ok(count)
}
