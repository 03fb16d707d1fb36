//! POSIX message queues (mq_overview(7)) of the calling thread's IPC namespace. A queue is a file of its file system.

use super::{Errno, Pid, Result, check};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `struct mq_attr`, as mq_getattr(3) and mq_open(3) take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The most messages that it holds.
    pub max_messages: u64,
    /// The most bytes of a message.
    pub message_size: u64,
    /// Messages in it.
    pub messages: u64,
}

/// A message: its priority and its text.
pub type Message = (u32, Vec<u8>);

/// A deadline that is over: a call that would wait fails with ETIMEDOUT.
static NOW: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

/// The file system of the queues, mounted nowhere.
pub fn mount() -> Result<OwnedFd> {
    const FSCONFIG_CMD_CREATE: u32 = 6;
    const CLOEXEC: u32 = 1;
    // SAFETY: the name is NUL-terminated; the kernel gives a new descriptor, which nobody else has.
    unsafe {
        let made = check(libc::syscall(libc::SYS_fsopen, c"mqueue".as_ptr(), CLOEXEC))?;
        let context = OwnedFd::from_raw_fd(made as i32);
        let null = std::ptr::null::<libc::c_char>();
        check(libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, null, null, 0))?;
        let mounted = check(libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, 0))?;
        Ok(OwnedFd::from_raw_fd(mounted as i32))
    }
}

/// Makes a queue, opened for everything; `name` without a slash.
pub fn make(name: &CStr, mode: u32, attributes: &Attributes) -> Result<OwnedFd> {
    // SAFETY: all zeroes are a value of the structure; the kernel reads name and attributes.
    unsafe {
        let mut raw = std::mem::zeroed::<libc::mq_attr>();
        raw.mq_maxmsg = attributes.max_messages as _;
        raw.mq_msgsize = attributes.message_size as _;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let made = check(libc::syscall(libc::SYS_mq_open, name.as_ptr(), flags, mode, &raw const raw))?;
        Ok(OwnedFd::from_raw_fd(made as i32))
    }
}

/// Opens a queue by its name, given without a slash. Closed on exec, as by mq_open(3).
pub fn open(name: &CStr, flags: i32) -> Result<OwnedFd> {
    let null = std::ptr::null::<libc::mq_attr>();
    let flags = flags & !libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: the name is NUL-terminated; the kernel gives a new descriptor, which nobody else has.
    unsafe {
        let opened = check(libc::syscall(libc::SYS_mq_open, name.as_ptr(), flags, 0, null))?;
        Ok(OwnedFd::from_raw_fd(opened as i32))
    }
}

/// Removes the name of a queue, given without a slash.
pub fn unlink(name: &CStr) -> Result<()> {
    // SAFETY: the name is NUL-terminated.
    check(unsafe { libc::syscall(libc::SYS_mq_unlink, name.as_ptr()) }).map(drop)
}

/// The attributes of a queue.
pub fn attributes(queue: BorrowedFd<'_>) -> Result<Attributes> {
    // SAFETY: all zeroes are a value of the structure, and the kernel fills it in.
    let raw = unsafe {
        let mut raw = std::mem::zeroed::<libc::mq_attr>();
        let null = std::ptr::null::<libc::mq_attr>();
        check(libc::syscall(libc::SYS_mq_getsetattr, queue.as_raw_fd(), null, &raw mut raw))?;
        raw
    };
    let (max_messages, message_size) = (raw.mq_maxmsg as u64, raw.mq_msgsize as u64);
    Ok(Attributes { max_messages, message_size, messages: raw.mq_curmsgs as u64 })
}

/// Puts a message into a queue, if it has room.
pub fn send(queue: BorrowedFd<'_>, (priority, text): &Message) -> Result<()> {
    let (fd, at) = (queue.as_raw_fd(), text.as_ptr());
    // SAFETY: the text has the length given; the deadline outlives the call.
    check(unsafe { libc::syscall(libc::SYS_mq_timedsend, fd, at, text.len(), *priority, &raw const NOW) }).map(drop)
}

/// Memory for all messages of a queue that a process of ours shares with us.
struct Room {
    at: *mut u8,
    len: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the mapping that `read_all` made; nothing borrows from it any more.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

/// All messages of a queue, in the order in which they would be received. Only receiving shows them, so a process of its
/// own receives them and puts them back in the same order: priorities and their order within one are what they were.
/// It goes through with it when the engine is killed meanwhile. `queue` is open for both. Nobody else may use the queue,
/// and nobody may be registered to be notified of its next message.
pub fn read_all(queue: BorrowedFd<'_>) -> Result<Vec<Message>> {
    let Attributes { message_size, messages, .. } = attributes(queue)?;
    if messages == 0 {
        return Ok(Vec::new());
    }
    let (size, count) = (message_size as usize, messages as usize);
    // For each message its length, its priority and its text.
    let slot = (size + 16).next_multiple_of(8);
    let len = slot.checked_mul(count).ok_or(Errno::ENOMEM)?;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_POPULATE;
    let null = std::ptr::null_mut();
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { libc::mmap(null, len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    let room = Room { at: at.cast(), len };
    // SAFETY: a fork without an exit signal, whose child makes only async-signal-safe calls on memory that is there, with
    // every signal blocked, and never returns.
    unsafe {
        let (mut all, mut old) = (std::mem::zeroed::<libc::sigset_t>(), std::mem::zeroed::<libc::sigset_t>());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
        let child = libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0);
        if child == 0 {
            libc::_exit(take_and_put_back(queue.as_raw_fd(), &room, (slot, size, count)));
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &old, std::ptr::null_mut());
        let child = Pid::from_raw(check(child)? as i32);
        match wait_for(child)? {
            0 => {}
            errno => return Err(Errno::from_raw(errno)),
        }
        let message = |n: usize| {
            let at = room.at.add(n * slot);
            let (len, priority) = (at.cast::<u64>().read(), at.add(8).cast::<u32>().read());
            (priority, std::slice::from_raw_parts(at.add(16), (len as usize).min(size)).to_vec())
        };
        Ok((0..count).map(message).collect())
    }
}

/// What the process of [`read_all`] does: 0, or an errno. Async-signal-safe.
///
/// # Safety
/// The room has `count` slots of `slot` bytes, each with place for `size` bytes after the first 16.
unsafe fn take_and_put_back(queue: i32, room: &Room, (slot, size, count): (usize, usize, usize)) -> i32 {
    // SAFETY: by the caller.
    unsafe {
        let (mut taken, mut errno) = (0, 0);
        while taken < count {
            let at = room.at.add(taken * slot);
            let (text, priority) = (at.add(16), at.add(8).cast::<u32>());
            let got = libc::syscall(libc::SYS_mq_timedreceive, queue, text, size, priority, &raw const NOW);
            if got < 0 {
                errno = Errno::last_raw();
                break;
            }
            at.cast::<u64>().write(got as u64);
            taken += 1;
        }
        for n in 0..taken {
            let at = room.at.add(n * slot);
            let (len, priority) = (at.cast::<u64>().read(), at.add(8).cast::<u32>().read());
            if libc::syscall(libc::SYS_mq_timedsend, queue, at.add(16), len, priority, &raw const NOW) < 0 {
                errno = Errno::last_raw();
            }
        }
        errno
    }
}

/// Waits for the end of a child without an exit signal: the code that it exited with.
fn wait_for(child: Pid) -> Result<i32> {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    loop {
        match waitpid(child, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(code),
            Ok(_) => return Err(Errno::EINTR),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}
