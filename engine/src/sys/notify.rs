//! inotify(7) and fanotify(7).

use super::{Result, check};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An inotify instance. Closed on exec.
pub fn inotify() -> Result<OwnedFd> {
    // SAFETY: inotify_init1 takes an integer.
    let fd = check(unsafe { libc::inotify_init1(libc::IN_CLOEXEC) }.into())?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Watches a path; `mask` are IN_*. Returns the watch's number.
pub fn add_watch(inotify: BorrowedFd<'_>, path: &CStr, mask: u32) -> Result<i32> {
    // SAFETY: the path outlives the call.
    check(unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr(), mask) }.into()).map(|wd| wd as i32)
}

/// Ends a watch; a notice of that is queued.
pub fn remove_watch(inotify: BorrowedFd<'_>, number: i32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::inotify_rm_watch(inotify.as_raw_fd(), number) }.into()).map(drop)
}

/// Sets the number of the next watch (INOTIFY_IOC_SETNEXTWD, 4.18 with CONFIG_CHECKPOINT_RESTORE).
pub fn set_next_watch(inotify: BorrowedFd<'_>, number: i32) -> Result<()> {
    let request = nix::request_code_write!(b'I', 0, size_of::<i32>());
    // SAFETY: the argument is the number itself.
    check(unsafe { libc::ioctl(inotify.as_raw_fd(), request, libc::c_long::from(number)) }.into()).map(drop)
}

/// A fanotify group; `flags` are FAN_* and `event_flags` O_*. Closed on exec, whatever the flags say.
pub fn fanotify(flags: u32, event_flags: u32) -> Result<OwnedFd> {
    // SAFETY: fanotify_init takes two integers.
    let fd = check(unsafe { libc::fanotify_init(flags, event_flags) }.into())?;
    // SAFETY: the kernel just gave us this descriptor.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}

/// Marks what a path leads to; `flags` are FAN_MARK_*, `mask` FAN_*.
pub fn mark(fanotify: BorrowedFd<'_>, flags: u32, mask: u64, path: &CStr) -> Result<()> {
    // SAFETY: the path outlives the call.
    check(unsafe { libc::fanotify_mark(fanotify.as_raw_fd(), flags, mask, libc::AT_FDCWD, path.as_ptr()) }.into())
        .map(drop)
}
