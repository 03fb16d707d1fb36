//! The undo log in memory that processes share, and the process that watches over it. A record says what is to be
//! undone by itself: no descriptor and no pointer, so that any process can do it after the one that wrote it is gone.

use super::clone::CloneArgs;
use super::{Errno, Pid, Result, check, socket};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest path with its NUL.
const PATH: usize = libc::PATH_MAX as usize;

/// What is known of the watcher: none was started, it has just been born, it can give back what is lent, or cannot.
const NOBODY: u32 = 0;
const BORN: u32 = 1;
const READY: u32 = 2;
const BLIND: u32 = 3;

/// What a record does to its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// Removes the name, if it names the file that the record says.
    Unlink = 1,
    /// Writes `0`: thaws a cgroup of version 2.
    WriteZero = 2,
    /// Writes `THAWED`: thaws a cgroup of version 1.
    WriteThawed = 3,
    /// Writes `1`: freezes a cgroup of version 2 again.
    WriteOne = 4,
    /// Writes `FROZEN`: freezes a cgroup of version 1 again.
    WriteFrozen = 5,
    /// Kills the process whose number stands in place of the device.
    Kill = 6,
    /// Removes the directory.
    RemoveDir = 7,
}

/// One thing to undo.
#[repr(C)]
struct Record {
    /// 0 while the record is free or being written, else the [`Action`].
    action: AtomicU32,
    /// Set while somebody writes the record.
    taken: AtomicU32,
    /// Device and inode of the file to be unlinked; 0 for any.
    device: AtomicU64,
    inode: AtomicU64,
    path: [u8; PATH],
}

/// Records in shared memory. Pages that no record uses cost nothing. The first record is none: its inode counts how many
/// were ever used, itself included, so that nobody has to look at the others.
#[derive(Debug)]
pub struct Log {
    records: NonNull<Record>,
    len: usize,
    /// A socket pair: a copy of each socket that was lent stands in it, with the offset that it is to get.
    lent: (OwnedFd, OwnedFd),
}

// SAFETY: the memory is shared by design; a record is claimed by its atomic `taken` before it is written, and read by
// others only after its `action` was published.
unsafe impl Send for Log {}
// SAFETY: as above.
unsafe impl Sync for Log {}

impl Log {
    /// An empty log with room for `len` records, shared with the processes that are forked from now on.
    pub fn new(len: usize) -> Result<Log> {
        let len = len + 1;
        let bytes = len * size_of::<Record>();
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the kernel's choice, zeroed: all records are free.
        let at = unsafe { libc::mmap(null, bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let records = NonNull::new(at.cast()).ok_or(Errno::ENOMEM)?;
        let (kind, flags) = (SockType::Datagram, SockFlag::SOCK_CLOEXEC);
        let lent = socketpair(AddressFamily::Unix, kind, None, flags)?;
        Ok(Log { records, len, lent })
    }

    /// How many records were ever used, the first included.
    fn high(&self) -> Option<&AtomicU64> {
        // SAFETY: an atomic in the mapping, which lives as long as `self`.
        self.record(0).map(|first| unsafe { &(*first).inode })
    }

    fn record(&self, slot: usize) -> Option<*mut Record> {
        // SAFETY: `slot` lies in the mapping, which lives as long as `self`.
        (slot < self.len).then(|| unsafe { self.records.as_ptr().add(slot) })
    }

    /// Notes what is to be undone, before it is done. `file` is device and inode of a name to be unlinked, where they
    /// are known. Returns the record's place.
    pub fn put(&self, action: Action, file: Option<(u64, u64)>, path: &CStr) -> Result<usize> {
        let bytes = path.to_bytes_with_nul();
        if bytes.len() > PATH {
            return Err(Errno::ENAMETOOLONG);
        }
        for slot in 1..self.len {
            let Some(record) = self.record(slot) else { break };
            // SAFETY: the record is in the mapping; only atomics of it are touched until it is claimed.
            let (taken, published) = unsafe { (&(*record).taken, &(*record).action) };
            if taken.swap(1, Ordering::SeqCst) != 0 {
                continue;
            }
            let (device, inode) = file.unwrap_or_default();
            // SAFETY: the record is ours until `action` is published, and `bytes` fits.
            unsafe {
                (*record).device.store(device, Ordering::SeqCst);
                (*record).inode.store(inode, Ordering::SeqCst);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut (*record).path).cast(), bytes.len());
            }
            if let Some(high) = self.high() {
                high.fetch_max(slot as u64 + 1, Ordering::SeqCst);
            }
            published.store(action as u32, Ordering::SeqCst);
            return Ok(slot);
        }
        Err(Errno::ENOSPC)
    }

    /// Forgets a record.
    pub fn clear(&self, slot: usize) {
        let Some(record) = self.record(slot) else { return };
        // SAFETY: atomics in the mapping.
        unsafe {
            (*record).action.store(0, Ordering::SeqCst);
            (*record).taken.store(0, Ordering::SeqCst);
        }
    }

    /// Does what a record says and forgets it. Async-signal-safe.
    pub fn undo(&self, slot: usize) {
        let Some(record) = self.record(slot) else { return };
        // SAFETY: published records are whole and no longer written; the calls get a NUL-terminated path that lives in
        // the mapping and text of the length given.
        unsafe {
            let path = (&raw const (*record).path).cast::<libc::c_char>();
            let file = ((*record).device.load(Ordering::SeqCst), (*record).inode.load(Ordering::SeqCst));
            match (*record).action.load(Ordering::SeqCst) {
                0 => return,
                1 => unlink_if(path, file),
                2 => write_text(path, b"0"),
                3 => write_text(path, b"THAWED"),
                4 => write_text(path, b"1"),
                5 => write_text(path, b"FROZEN"),
                7 => drop(libc::rmdir(path)),
                _ => drop(libc::kill(file.0 as i32, libc::SIGKILL)),
            }
        }
        self.clear(slot);
    }

    /// Notes the SO_PEEK_OFF of a socket before it is changed.
    pub fn lend(&self, fd: BorrowedFd<'_>, offset: i32) -> Result<()> {
        self.await_watcher()?;
        socket::send(self.lent.0.as_fd(), &offset.to_ne_bytes(), None, &[fd.as_raw_fd()], None).map(drop)
    }

    /// Forgets the socket that was lent first.
    pub fn take_back(&self) {
        let _ = socket::receive(self.lent.1.as_fd(), &mut [0; 4], 0);
    }

    /// How far the watcher has got: the first record's place.
    fn watcher(&self) -> Option<&AtomicU32> {
        // SAFETY: an atomic in the mapping, which lives as long as `self`.
        self.record(0).map(|first| unsafe { &(*first).taken })
    }

    fn set_watcher(&self, state: u32) {
        if let Some(watcher) = self.watcher() {
            watcher.store(state, Ordering::SeqCst);
        }
    }

    /// Waits until the watcher, if there is to be one, could give back what is lent.
    fn await_watcher(&self) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            match self.watcher().map_or(NOBODY, |watcher| watcher.load(Ordering::SeqCst)) {
                BORN => std::thread::yield_now(),
                BLIND => return Err(Errno::EPERM),
                _ => return Ok(()),
            }
        }
        Err(Errno::ETIMEDOUT)
    }

    /// From this instant on nothing that is noted will be undone.
    pub fn void(&self) {
        if let Some(void) = self.is_void() {
            void.store(1, Ordering::SeqCst);
        }
    }

    /// Not 0 when nothing is to be undone any more: the device of the first record.
    fn is_void(&self) -> Option<&AtomicU64> {
        // SAFETY: an atomic in the mapping, which lives as long as `self`.
        self.record(0).map(|first| unsafe { &(*first).device })
    }

    /// Undoes all that is noted, the newest first. Async-signal-safe.
    pub fn undo_all(&self) {
        self.undo_with(Some(self.lent.1.as_fd()));
    }

    /// The same, with the queue of the sockets that were lent.
    fn undo_with(&self, lent: Option<BorrowedFd<'_>>) {
        if self.is_void().is_some_and(|void| void.load(Ordering::SeqCst) != 0) {
            return;
        }
        let high = self.high().map_or(0, |high| high.load(Ordering::SeqCst)) as usize;
        for slot in (1..high).rev() {
            self.undo(slot);
        }
        lent.into_iter().for_each(give_back);
    }

    /// Starts a process that does nothing but wait for our death and then undo the log. It is no child that a wait(2)
    /// without __WALL sees, hears no signal that can be blocked, and keeps none of our descriptors open.
    pub fn watch(&self) -> Result<Pid> {
        let me = std::process::id() as i32;
        self.set_watcher(BORN);
        // SAFETY: a fork without an exit signal. The child makes only async-signal-safe calls (it may be the copy of a
        // process with threads), never allocates and never returns.
        unsafe {
            let (mut all, mut old) = (std::mem::zeroed::<libc::sigset_t>(), std::mem::zeroed::<libc::sigset_t>());
            libc::sigfillset(&mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &all, &mut old);
            // It never has copies of our descriptors: what we close is closed, for those who watch a file too.
            let args = CloneArgs { flags: libc::CLONE_FILES as u64, ..CloneArgs::default() };
            let child = libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>());
            if child == 0 {
                libc::syscall(libc::SYS_close_range, 0, u32::MAX, libc::CLOSE_RANGE_UNSHARE);
                let engine = libc::syscall(libc::SYS_pidfd_open, me, 0) as i32;
                let lent = libc::syscall(libc::SYS_pidfd_getfd, engine, self.lent.1.as_raw_fd(), 0) as i32;
                self.set_watcher(if lent < 0 { BLIND } else { READY });
                // Born to somebody else: the engine is gone, and its number may be another's.
                while libc::getppid() == me {
                    // Without a pidfd it looks now and then.
                    let patience = if engine < 0 { 100 } else { -1 };
                    let mut poll = libc::pollfd { fd: engine, events: libc::POLLIN, revents: 0 };
                    if libc::poll(&mut poll, 1, patience) > 0 {
                        break;
                    }
                }
                self.undo_with((lent >= 0).then(|| BorrowedFd::borrow_raw(lent)));
                libc::_exit(0);
            }
            libc::sigprocmask(libc::SIG_SETMASK, &old, std::ptr::null_mut());
            check(child).map(|pid| Pid::from_raw(pid as i32))
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `new`; nothing borrows from it any more.
        unsafe { libc::munmap(self.records.as_ptr().cast(), self.len * size_of::<Record>()) };
    }
}

/// Gives sockets that were lent the offset that they had. Async-signal-safe.
fn give_back(queue: BorrowedFd<'_>) {
    let mut offset = [0; 4];
    while let Ok(lent) = socket::receive_one(queue, &mut offset) {
        if let Some(fd) = lent {
            let _ = socket::set(fd.as_fd(), socket::option::PEEK_OFF, i32::from_ne_bytes(offset));
        }
    }
}

/// Removes a name, if it is that of `file` or any file will do.
///
/// # Safety
/// `path` is NUL-terminated.
unsafe fn unlink_if(path: *const libc::c_char, file: (u64, u64)) {
    // SAFETY: by the caller; `stat` is filled in by the kernel before it is read.
    unsafe {
        let mut stat = std::mem::zeroed::<libc::stat>();
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        if libc::fstatat(libc::AT_FDCWD, path, &mut stat, flags) == 0
            && (file == (0, 0) || file == (stat.st_dev, stat.st_ino))
        {
            libc::unlink(path);
        }
    }
}

/// Writes a word into a file of the kernel's.
///
/// # Safety
/// `path` is NUL-terminated.
unsafe fn write_text(path: *const libc::c_char, text: &[u8]) {
    // SAFETY: by the caller; `text` is as long as it says.
    unsafe {
        let fd = libc::open(path, libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, text.as_ptr().cast(), text.len());
            libc::close(fd);
        }
    }
}

/// Ends the watcher `pid` and takes its end, so that nothing of it is left.
pub fn end_watch(pid: Pid) {
    // SAFETY: integers, and a null status. It is our child, so its number is not another's before we wait.
    unsafe {
        libc::kill(pid.as_raw(), libc::SIGKILL);
        while libc::waitpid(pid.as_raw(), std::ptr::null_mut(), libc::__WALL) < 0 && Errno::last() == Errno::EINTR {}
    }
}
