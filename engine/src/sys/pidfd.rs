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

/// A process of ours that has ended and stays a zombie as long as this lives: pidfds of it are those of a process that
/// is gone once it is dropped.
#[derive(Debug)]
pub struct Ended(Pid);

impl Ended {
    /// Makes one.
    pub fn new() -> Result<Ended> {
        // SAFETY: the child does nothing but end, which is allowed also where other threads hold locks.
        match check(unsafe { libc::fork() }.into())? {
            // SAFETY: see above.
            0 => unsafe { libc::_exit(0) },
            pid => Ok(Ended(Pid::from_raw(pid as i32))),
        }
    }

    /// A pidfd of it, with PIDFD_THREAD if asked.
    pub fn open(&self, thread: bool) -> Result<OwnedFd> {
        if thread { open_thread(self.0) } else { open(self.0) }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = nix::sys::wait::waitpid(self.0, None);
    }
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
