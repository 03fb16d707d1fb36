//! For the cases of POSIX message queues: small wrappers of the calls.

use crate::gate::{Verdict, check_eq, fail};
use crate::tools_files::owned;
use nix::errno::Errno;
use nix::sys::signal::SigSet;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Makes a queue, or opens it where `flags` have no O_CREAT.
pub fn open(name: &CStr, flags: i32, messages: i64, size: i64) -> Verdict<OwnedFd> {
    // SAFETY: all zeroes are a value of the structure; name and attributes outlive the call.
    unsafe {
        let mut about = std::mem::zeroed::<libc::mq_attr>();
        (about.mq_maxmsg, about.mq_msgsize) = (messages as _, size as _);
        owned(libc::mq_open(name.as_ptr(), flags, 0o600, &raw mut about).into())
    }
}

/// Removes a queue.
pub fn unlink(name: &CStr) -> Verdict {
    // SAFETY: the name outlives the call.
    Errno::result(unsafe { libc::mq_unlink(name.as_ptr()) })?;
    Ok(())
}

/// Most messages, most bytes, messages.
pub fn attributes(queue: &OwnedFd) -> Verdict<[i64; 3]> {
    // SAFETY: all zeroes are a value of the structure, and the kernel fills it in.
    unsafe {
        let mut about = std::mem::zeroed::<libc::mq_attr>();
        Errno::result(libc::mq_getattr(queue.as_raw_fd(), &raw mut about))?;
        Ok([about.mq_maxmsg as i64, about.mq_msgsize as i64, about.mq_curmsgs as i64])
    }
}

/// Sends a message.
pub fn send(queue: &OwnedFd, priority: u32, text: &[u8]) -> Result<(), Errno> {
    // SAFETY: the text outlives the call.
    Errno::result(unsafe { libc::mq_send(queue.as_raw_fd(), text.as_ptr().cast(), text.len(), priority) }).map(drop)
}

/// Receives a message: its priority and its text.
pub fn receive(queue: &OwnedFd) -> Result<(u32, Vec<u8>), Errno> {
    let (mut text, mut priority) = (vec![0u8; 16 << 10], 0);
    let (fd, len) = (queue.as_raw_fd(), text.len());
    // SAFETY: the buffer has the length given.
    let got = Errno::result(unsafe { libc::mq_receive(fd, text.as_mut_ptr().cast(), len, &mut priority) })?;
    text.truncate(got as usize);
    Ok((priority, text))
}

/// Receives all messages of a queue that does not block, and compares them.
pub fn check_messages(queue: &OwnedFd, expected: &[(u32, &[u8])]) -> Verdict {
    for (priority, text) in expected {
        check_eq("a message", receive(queue)?, (*priority, text.to_vec()))?;
    }
    match receive(queue) {
        Err(Errno::EAGAIN) => Ok(()),
        other => fail(format!("one more message: {other:?}")),
    }
}

/// Has this process told of the next message, by a signal with a value or not at all.
pub fn register(queue: &OwnedFd, signal: Option<(i32, usize)>) -> Result<(), Errno> {
    // SAFETY: all zeroes are a value of the structure, and the kernel reads it.
    unsafe {
        let mut event = std::mem::zeroed::<libc::sigevent>();
        event.sigev_notify = libc::SIGEV_NONE;
        if let Some((signal, value)) = signal {
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = signal;
            event.sigev_value.sival_ptr = value as *mut libc::c_void;
        }
        Errno::result(libc::mq_notify(queue.as_raw_fd(), &raw const event)).map(drop)
    }
}

/// What a queue reads as: who is told.
pub fn text(queue: &OwnedFd) -> Verdict<String> {
    let mut text = [0; 128];
    let len = nix::sys::uio::pread(queue, &mut text, 0)?;
    Ok(String::from_utf8_lossy(&text[..len]).into_owned())
}

/// Waits for a signal of a set: its code and the value that comes with it.
pub fn await_notice(set: &SigSet) -> Verdict<(i32, usize)> {
    let wait = libc::timespec { tv_sec: 5, tv_nsec: 0 };
    // SAFETY: all zeroes are a value of the structure, which the kernel fills in; the signal has a value.
    unsafe {
        let mut info = std::mem::zeroed::<libc::siginfo_t>();
        Errno::result(libc::sigtimedwait(set.as_ref(), &raw mut info, &raw const wait))?;
        Ok((info.si_code, info.si_value().sival_ptr as usize))
    }
}

/// Open for both, and made anew.
pub const NEW: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
