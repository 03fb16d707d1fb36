//! Files: owners of asynchronous I/O, holes, pipes.

use super::{Errno, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd};

/// F_GETOWN_EX: who gets SIGIO. Kind 0 is a thread, 1 a process, 2 a process group.
pub fn owner(fd: BorrowedFd<'_>) -> Result<(i32, i32)> {
    const F_GETOWN_EX: i32 = 16;
    let mut owner = [0i32; 2];
    // SAFETY: `owner` is a struct f_owner_ex.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETOWN_EX, owner.as_mut_ptr()) }.into())?;
    Ok((owner[0], owner[1]))
}

/// F_SETOWN_EX. Works from outside: the kernel keeps the credentials of the caller with it.
pub fn set_owner(fd: BorrowedFd<'_>, kind: i32, pid: i32) -> Result<()> {
    const F_SETOWN_EX: i32 = 15;
    let owner = [kind, pid];
    // SAFETY: `owner` is a struct f_owner_ex.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETOWN_EX, owner.as_ptr()) }.into()).map(drop)
}

/// F_GETOWNER_UIDS: the real and effective user whose right to signal counts (CONFIG_CHECKPOINT_RESTORE).
pub fn owner_uids(fd: BorrowedFd<'_>) -> Result<(u32, u32)> {
    const F_GETOWNER_UIDS: i32 = 17;
    let mut uids = [0u32; 2];
    // SAFETY: the kernel writes two uid_t.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETOWNER_UIDS, uids.as_mut_ptr()) }.into())?;
    Ok((uids[0], uids[1]))
}

/// F_GETSIG: the signal for asynchronous I/O, 0 for SIGIO without information.
pub fn io_signal(fd: BorrowedFd<'_>) -> Result<i32> {
    const F_GETSIG: i32 = 11;
    // SAFETY: no argument.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETSIG) }.into()).map(|s| s as i32)
}

/// F_SETSIG.
pub fn set_io_signal(fd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    const F_SETSIG: i32 = 10;
    // SAFETY: an integer argument.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETSIG, signal) }.into()).map(drop)
}

/// F_GETFL: access mode and status flags.
pub fn flags(fd: BorrowedFd<'_>) -> Result<i32> {
    // SAFETY: no argument.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }.into()).map(|f| f as i32)
}

/// F_SETFL: the status flags that can be changed.
pub fn set_flags(fd: BorrowedFd<'_>, flags: i32) -> Result<()> {
    // SAFETY: an integer argument.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) }.into()).map(drop)
}

/// The next data at or after `from` (SEEK_DATA): `None` when only a hole follows.
pub fn seek_data(fd: BorrowedFd<'_>, from: u64) -> Result<Option<u64>> {
    seek(fd, from, libc::SEEK_DATA)
}

/// The next hole at or after `from` (SEEK_HOLE); the end of the file counts as one.
pub fn seek_hole(fd: BorrowedFd<'_>, from: u64) -> Result<Option<u64>> {
    seek(fd, from, libc::SEEK_HOLE)
}

fn seek(fd: BorrowedFd<'_>, from: u64, whence: i32) -> Result<Option<u64>> {
    // SAFETY: integers only.
    match check(unsafe { libc::lseek(fd.as_raw_fd(), from as i64, whence) }) {
        Ok(at) => Ok(Some(at as u64)),
        Err(Errno::ENXIO) => Ok(None),
        Err(e) => Err(e),
    }
}

/// tee(2): copies up to `len` bytes of one pipe's content into another without taking them out.
pub fn tee(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> Result<usize> {
    // SAFETY: integers only.
    check(unsafe { libc::tee(from.as_raw_fd(), to.as_raw_fd(), len, libc::SPLICE_F_NONBLOCK) } as i64)
        .map(|n| n as usize)
}

/// FIONREAD: the bytes that can be read now.
pub fn readable_bytes(fd: BorrowedFd<'_>) -> Result<usize> {
    let mut n: i32 = 0;
    // SAFETY: the kernel writes an int.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut n) }.into())?;
    Ok(n as usize)
}

/// Runs `body` with another real and effective user id, of this thread only: the kernel's credentials belong to a
/// thread, and only the C library makes them look otherwise.
pub fn as_user<T>(uid: u32, euid: u32, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let set = |real: u32, effective: u32| {
        // SAFETY: integers only; the raw call changes this thread alone.
        check(unsafe { libc::syscall(libc::SYS_setresuid, real, effective, u32::MAX) }).map(drop)
    };
    let before = (nix::unistd::getuid().as_raw(), nix::unistd::geteuid().as_raw());
    set(uid, euid)?;
    let result = body();
    set(before.0, before.1)?;
    result
}

/// A copy of one of our own descriptors, by number, as a caller names it on the command line.
pub fn duplicate(fd: i32) -> Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: integers only.
    let copy = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) }.into())?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(copy as i32) })
}
