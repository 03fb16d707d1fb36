//! pidfds: a task by descriptor, and copies of its descriptors.

use super::{Errno, Pid, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Opens a pidfd of a process (a thread-group leader).
pub fn open(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Our own copy of the task's descriptor `fd` (Linux 5.6): the same open file description.
pub fn get_fd(task: BorrowedFd<'_>, fd: i32) -> Result<OwnedFd> {
    // SAFETY: pidfd_getfd takes three integers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_getfd, task.as_raw_fd(), fd, 0) })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal to the process.
pub fn send_signal(task: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo asks the kernel to fill it in as kill(2) does.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, task.as_raw_fd(), signal, none, 0) }).map(drop)
}

/// Waits until the process is gone (its pid free when nobody else has to reap it), at most `ms` milliseconds.
pub fn wait_gone(task: BorrowedFd<'_>, ms: i32) -> Result<bool> {
    let mut poll = libc::pollfd { fd: task.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: one valid pollfd.
        match check(unsafe { libc::poll(&mut poll, 1, ms) }.into()) {
            Err(Errno::EINTR) => continue,
            other => return other.map(|n| n > 0),
        }
    }
}

/// Opens a pidfd of a thread (PIDFD_THREAD, Linux 6.9).
pub fn open_thread(tid: Pid) -> Result<OwnedFd> {
    const PIDFD_THREAD: i32 = libc::O_EXCL;
    // SAFETY: pidfd_open takes two integers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, tid.as_raw(), PIDFD_THREAD) })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
