//! What is in a pipe or a fifo: its bytes, its capacity and the boundaries of its packets. It is copied by tee(2),
//! which leaves the pipe as it is, and written again into a new one. How bytes of a stream are spread over the pipe's
//! buffers does not survive: nobody can see it.

mod put;
mod take;
#[cfg(test)]
mod tests;

pub use put::Pipes;
pub use take::Contents;

use crate::sys;
use nix::fcntl::OFlag;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Whether an end is for reading only.
fn is_reader(flags: u32) -> bool {
    flags & libc::O_ACCMODE as u32 == libc::O_RDONLY as u32
}

/// The bits of a mode that chmod(2) sets.
const MODE: u32 = 0o7777;

const MORE_ROOM: &str = "raise /proc/sys/fs/pipe-max-size, or run with CAP_SYS_RESOURCE";

/// Another open file description of the same object.
pub fn reopen(fd: BorrowedFd<'_>, flags: i32) -> sys::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    nix::fcntl::open(path.as_str(), OFlag::from_bits_retain(flags | libc::O_CLOEXEC), nix::sys::stat::Mode::empty())
}

/// Another open file description of the same object, for reading it without changing its time of last access, where
/// that may be asked for: by its owner.
pub fn reopen_to_read(fd: BorrowedFd<'_>) -> sys::Result<OwnedFd> {
    match reopen(fd, libc::O_RDONLY | libc::O_NOATIME) {
        Err(sys::Errno::EPERM) => reopen(fd, libc::O_RDONLY),
        other => other,
    }
}
