//! Rings of io_uring as a library uses them: heads and tails of its own beside those in shared memory.

use crate::gate::{Verdict, check_eq, fail};
use crate::tools_files::owned;
use crate::tools_memory::{Area, RW, page};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// IORING_OP_*.
pub const NOP: u8 = 0;
pub const READ_FIXED: u8 = 4;
pub const WRITE_FIXED: u8 = 5;
pub const POLL_ADD: u8 = 6;
pub const TIMEOUT: u8 = 11;
pub const READ: u8 = 22;
pub const WRITE: u8 = 23;
/// IOSQE_*.
pub const FIXED_FILE: u8 = 1;
pub const ASYNC: u8 = 1 << 4;
/// IORING_SETUP_*.
pub const CQSIZE: u32 = 1 << 3;
pub const R_DISABLED: u32 = 1 << 6;
pub const SINGLE_ISSUER: u32 = 1 << 12;
/// IORING_REGISTER_*.
pub const BUFFERS: u32 = 0;
pub const FILES: u32 = 2;
pub const EVENTFD: u32 = 4;

/// A submission.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Request {
    pub opcode: u8,
    pub flags: u8,
    pub priority: u16,
    pub fd: i32,
    pub offset: u64,
    pub address: u64,
    pub length: u32,
    pub more: u32,
    pub data: u64,
    pub buffer: u16,
    pub rest: [u16; 11],
}

/// What completed: the request's word and its result.
pub type Completion = (u64, i32);

/// A ring.
pub struct Ring {
    pub fd: OwnedFd,
    /// Offsets of the submissions and of the completions.
    offsets: [u32; 20],
    rings: Area,
    submissions: Area,
    entries: u32,
    completions: u32,
    /// What the library remembers: how many requests it has put in.
    tail: u32,
}

impl Ring {
    /// A ring with as many places.
    pub fn new(entries: u32) -> Verdict<Ring> {
        Ring::with(entries, 0, 0)
    }

    /// A ring set up in a special way.
    pub fn with(entries: u32, completions: u32, flags: u32) -> Verdict<Ring> {
        let mut parameters = [0u32; 30];
        (parameters[1], parameters[2]) = (completions, flags);
        // SAFETY: the structure has 120 bytes and outlives the call.
        let fd = owned(unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, parameters.as_mut_ptr()) })?;
        let mut offsets = [0; 20];
        offsets.copy_from_slice(&parameters[10..]);
        let (entries, completions) = (parameters[0], parameters[1]);
        let bytes = (offsets[6] + entries * 4).max(offsets[15] + completions * 16) as usize;
        let map = |bytes: usize, offset: u64| {
            Area::raw(0, bytes.div_ceil(page()), RW, libc::MAP_SHARED | libc::MAP_POPULATE, fd.as_raw_fd(), offset)
        };
        let rings = map(bytes, 0)?;
        let submissions = map(entries as usize * 64, 0x1000_0000 / page() as u64)?;
        let ring = Ring { fd, offsets, rings, submissions, entries, completions, tail: 0 };
        for n in 0..entries {
            ring.word(offsets[6] + n * 4).store(n, Ordering::Relaxed);
        }
        Ok(ring)
    }

    fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel told the offset; the mapping lives as long as the process.
        unsafe { AtomicU32::from_ptr((self.rings.at(0) + offset as usize) as *mut u32) }
    }

    /// Puts a request in without telling the kernel's side of it.
    pub fn put(&mut self, request: Request) -> Verdict {
        if self.tail.wrapping_sub(self.word(self.offsets[0]).load(Ordering::Acquire)) == self.entries {
            return fail("the ring has no place for a request");
        }
        let place = (self.tail & (self.entries - 1)) as usize;
        // SAFETY: within the mapping of the submissions, whose place is free.
        unsafe { (self.submissions.at(0) as *mut Request).add(place).write_volatile(request) };
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    /// Publishes what was put in.
    pub fn publish(&self) {
        self.word(self.offsets[1]).store(self.tail, Ordering::Release);
    }

    /// Has the kernel take `count` requests and waits for `wait` completions.
    pub fn enter(&self, count: u32, wait: u32) -> Result<i64, Errno> {
        const GETEVENTS: u32 = 1;
        let flags = if wait > 0 { GETEVENTS } else { 0 };
        let none = std::ptr::null::<u8>();
        // SAFETY: what requests point to is the case's to keep.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_io_uring_enter, self.fd.as_raw_fd(), count, wait, flags, none, 0)
        })
    }

    /// Puts in one request and submits it.
    pub fn submit(&mut self, request: Request) -> Verdict {
        self.put(request)?;
        self.publish();
        check_eq("requests taken", self.enter(1, 0)?, 1)
    }

    /// The next completion, if there is one.
    pub fn take(&self) -> Option<Completion> {
        let head = self.word(self.offsets[10]).load(Ordering::Relaxed);
        if head == self.word(self.offsets[11]).load(Ordering::Acquire) {
            return None;
        }
        let place = self.rings.at(0) + (self.offsets[15] + (head & (self.completions - 1)) * 16) as usize;
        // SAFETY: within the mapping; the kernel has written this completion.
        let (data, result) =
            unsafe { ((place as *const u64).read_volatile(), (place as *const i32).add(2).read_volatile()) };
        self.word(self.offsets[10]).store(head.wrapping_add(1), Ordering::Release);
        Some((data, result))
    }

    /// All completions that are there.
    pub fn take_all(&self) -> Vec<Completion> {
        std::iter::from_fn(|| self.take()).collect()
    }

    /// The next completion, which comes.
    pub fn wait(&self) -> Verdict<Completion> {
        loop {
            if let Some(completion) = self.take() {
                return Ok(completion);
            }
            self.enter(0, 1)?;
        }
    }

    /// Submits a request and waits for its result.
    pub fn result(&mut self, request: Request) -> Verdict<i32> {
        self.submit(request)?;
        let (data, result) = self.wait()?;
        check_eq("the word", data, request.data)?;
        Ok(result)
    }

    /// Submits `count` requests that do nothing, and checks that they complete in order.
    #[track_caller]
    pub fn check_works(&mut self, count: u64) -> Verdict {
        for data in 0..count {
            check_eq(
                "the result of doing nothing",
                self.result(Request { opcode: NOP, data, ..Request::default() })?,
                0,
            )?;
        }
        Ok(())
    }

    /// io_uring_register(2).
    pub fn register(&self, operation: u32, list: &[u64], count: u32) -> Result<i64, Errno> {
        let at = list.as_ptr();
        // SAFETY: the list outlives the call.
        Errno::result(unsafe { libc::syscall(libc::SYS_io_uring_register, self.fd.as_raw_fd(), operation, at, count) })
    }

    /// Registers files; -1 for a slot without.
    pub fn register_files(&self, files: &[RawFd]) -> Result<i64, Errno> {
        let at = files.as_ptr();
        // SAFETY: the list outlives the call.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_io_uring_register, self.fd.as_raw_fd(), FILES, at, files.len())
        })
    }
}

/// A transfer of `length` bytes at `offset` of a file, from or to `address`.
pub fn transfer(opcode: u8, fd: RawFd, address: usize, length: u32, offset: u64) -> Request {
    Request { opcode, fd, offset, address: address as u64, length, data: offset ^ 0x77, ..Request::default() }
}
