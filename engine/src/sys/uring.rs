//! io_uring_setup(2), io_uring_enter(2), io_uring_register(2), and a ring's memory.

use super::{Errno, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// IORING_SETUP_*.
pub mod setup {
    /// The number of places for completions is given.
    pub const CQSIZE: u32 = 1 << 3;
    /// An invalid submission does not stop those after it.
    pub const SUBMIT_ALL: u32 = 1 << 7;
    /// Submissions have 128 bytes.
    pub const SQE128: u32 = 1 << 10;
    /// Completions have 32 bytes.
    pub const CQE32: u32 = 1 << 11;
    /// There is no array of indices.
    pub const NO_SQARRAY: u32 = 1 << 16;
}

/// Where a ring's first mapping begins in its file.
pub const RINGS: u64 = 0;
/// Where the mapping of the submissions begins.
pub const SUBMISSIONS: u64 = 0x1000_0000;

const REGISTER_BUFFERS: u32 = 0;
const REGISTER_FILES: u32 = 2;
const REGISTER_EVENTFD: u32 = 4;
const REGISTER_PROBE: u32 = 8;
const REGISTER_PBUF_STATUS: u32 = 26;
const REGISTER_NAPI: u32 = 27;

/// The number of the call and the operation by which a task registers buffers.
pub const REGISTER: (i64, u64) = (libc::SYS_io_uring_register, REGISTER_BUFFERS as u64);

/// A ring as it was made.
#[derive(Debug)]
pub struct Made {
    /// Its descriptor.
    pub fd: OwnedFd,
    /// Places for submissions and for completions.
    pub entries: (u32, u32),
    /// The offsets of the submissions (head, tail, mask, entries, flags, dropped, array), then of the completions (head,
    /// tail, mask, entries, overflow, completions, flags).
    pub offsets: [u32; 14],
}

/// Makes a ring.
pub fn setup((sq, cq): (u32, u32), flags: u32) -> Result<Made> {
    // struct io_uring_params: sq_entries, cq_entries, flags, cpu, idle, features, wq_fd, three reserved, then sq_off and
    // cq_off of ten words each.
    let mut params = [0u32; 30];
    (params[1], params[2]) = (cq, flags | setup::CQSIZE);
    // SAFETY: the structure has 120 bytes, which the kernel reads and writes.
    let fd = check(unsafe { libc::syscall(libc::SYS_io_uring_setup, sq, params.as_mut_ptr()) })?;
    // SAFETY: the kernel just gave us this descriptor.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let mut offsets = [0; 14];
    offsets[..7].copy_from_slice(&params[10..17]);
    offsets[7..].copy_from_slice(&params[20..27]);
    Ok(Made { fd, entries: (params[0], params[1]), offsets })
}

/// Submits what the ring holds, at most `count`, without waiting. How many were taken.
pub fn submit(fd: BorrowedFd<'_>, count: u32) -> Result<u32> {
    enter(fd, count, 0)
}

/// Looks for completions without waiting. EBADFD: the ring is not enabled; EEXIST: only one thread may do that.
pub fn look(fd: BorrowedFd<'_>) -> Result<()> {
    const GETEVENTS: u32 = 1;
    enter(fd, 0, GETEVENTS).map(drop)
}

fn enter(fd: BorrowedFd<'_>, count: u32, flags: u32) -> Result<u32> {
    // SAFETY: no signal set is given, so nothing of ours is read.
    let taken = unsafe { libc::syscall(libc::SYS_io_uring_enter, fd.as_raw_fd(), count, 0, flags, 0usize, 0usize) };
    check(taken).map(|taken| taken as u32)
}

fn register(fd: BorrowedFd<'_>, operation: u32, argument: usize, count: u32) -> Result<i64> {
    // SAFETY: the callers pass addresses of what the operation needs, or such as it refuses.
    check(unsafe { libc::syscall(libc::SYS_io_uring_register, fd.as_raw_fd(), operation, argument, count) })
}

/// Registers files, one for each slot that has one.
pub fn register_files(fd: BorrowedFd<'_>, files: &[Option<BorrowedFd<'_>>]) -> Result<()> {
    let numbers: Vec<RawFd> = files.iter().map(|file| file.map_or(-1, |file| file.as_raw_fd())).collect();
    register(fd, REGISTER_FILES, numbers.as_ptr() as usize, numbers.len() as u32).map(drop)
}

/// Registers an eventfd.
pub fn register_eventfd(fd: BorrowedFd<'_>, eventfd: BorrowedFd<'_>) -> Result<()> {
    let number = eventfd.as_raw_fd();
    register(fd, REGISTER_EVENTFD, &raw const number as usize, 1).map(drop)
}

/// Whether an eventfd is registered: registering one that cannot be read is refused in one way or the other.
pub fn has_eventfd(fd: BorrowedFd<'_>) -> Result<bool> {
    match register(fd, REGISTER_EVENTFD, 0, 1) {
        Err(Errno::EBUSY) => Ok(true),
        Err(Errno::EFAULT) => Ok(false),
        Err(e) => Err(e),
        Ok(_) => Err(Errno::EINVAL),
    }
}

/// Asks what operations there are. EEXIST: only one thread may ask, EACCES: the ring is restricted.
pub fn probe(fd: BorrowedFd<'_>) -> Result<()> {
    let mut answer = [0u64; 2];
    register(fd, REGISTER_PROBE, answer.as_mut_ptr() as usize, 0).map(drop)
}

/// Whether a ring polls for completions (IORING_SETUP_IOPOLL): it refuses NAPI before it looks at the argument. Kernels
/// without NAPI (before 6.9) refuse it always.
pub fn refuses_napi(fd: BorrowedFd<'_>) -> bool {
    register(fd, REGISTER_NAPI, 1, 1) != Err(Errno::EFAULT)
}

/// Whether a ring has buffers of this group for its requests to choose from. Before Linux 6.8 the answer is always yes.
pub fn has_buffer_group(fd: BorrowedFd<'_>, group: u16) -> bool {
    let mut status = [0u32; 10];
    status[0] = group.into();
    register(fd, REGISTER_PBUF_STATUS, status.as_mut_ptr() as usize, 1) != Err(Errno::ENOENT)
}

/// A mapping of a part of a ring.
#[derive(Debug)]
pub struct View {
    start: NonNull<u8>,
    len: usize,
}

impl View {
    /// Maps `len` bytes from `offset`. EINVAL: that part is shorter.
    pub fn map(fd: BorrowedFd<'_>, offset: u64, len: usize) -> Result<View> {
        let (null, prot) = (std::ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else uses it.
        let at = unsafe { libc::mmap(null, len, prot, libc::MAP_SHARED, fd.as_raw_fd(), offset as libc::off_t) };
        match NonNull::new(at.cast()) {
            Some(start) if at != libc::MAP_FAILED => Ok(View { start, len }),
            _ => Err(Errno::last()),
        }
    }

    /// The pages of it that are there.
    pub fn present(&self) -> usize {
        let page = super::page_size() as usize;
        let mut words = vec![0u8; self.len / page * 8];
        let at = self.start.as_ptr() as usize / page * 8;
        let read = super::probe::own_pagemap().and_then(|pagemap| pagemap.read_exact_at(&mut words, at as u64));
        // The highest bit of a page's word says that the page is there.
        let present = |word: &&[u8; 8]| u64::from_ne_bytes(**word) >> 63 != 0;
        if read.is_ok() { words.as_chunks().0.iter().filter(present).count() } else { 0 }
    }

    /// A copy of its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        // SAFETY: the mapping has that many bytes; nobody relies on what others write meanwhile.
        unsafe { self.start.as_ptr().copy_to_nonoverlapping(bytes.as_mut_ptr(), self.len) };
        bytes
    }

    /// Writes bytes at its beginning, as many as it has room for.
    pub fn write(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.len);
        // SAFETY: within the mapping.
        unsafe { self.start.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), len) };
    }

    /// The word at an offset, which kernel and program share; `None` outside of the mapping.
    pub fn word(&self, offset: u32) -> Option<&AtomicU32> {
        let end = (offset as usize).checked_add(4)?;
        // SAFETY: aligned and within the mapping, which lives as long as the reference.
        (end <= self.len && offset.is_multiple_of(4))
            .then(|| unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset as usize).cast()) })
    }

    /// Adds to the word at an offset.
    pub fn add(&self, offset: u32, more: u32) {
        if let Some(word) = self.word(offset) {
            word.fetch_add(more, Ordering::SeqCst);
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `map`, of which no reference is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
