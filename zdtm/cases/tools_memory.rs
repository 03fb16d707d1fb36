//! Memory areas made by hand, and whether an access to them faults.

use crate::gate::{Verdict, check_eq, fail};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::AtomicU32;

/// No access at all.
pub const NONE: i32 = libc::PROT_NONE;
/// Read only.
pub const R: i32 = libc::PROT_READ;
/// Read and write.
pub const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;
/// Read and execute.
pub const RX: i32 = libc::PROT_READ | libc::PROT_EXEC;

/// Bytes of a page.
pub fn page() -> usize {
    // SAFETY: sysconf only reads.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// A run of pages of this process, mapped by a case and left to the end of the process. Its accessors trust the case
/// to touch only what it knows to be accessible; a wrong restore makes them fault, which ends the case as a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    start: usize,
    pages: usize,
}

impl Area {
    /// Private anonymous memory, readable and writable.
    pub fn private(pages: usize) -> Verdict<Area> {
        Area::anonymous(pages, RW, libc::MAP_PRIVATE)
    }

    /// Shared anonymous memory, readable and writable.
    pub fn shared(pages: usize) -> Verdict<Area> {
        Area::anonymous(pages, RW, libc::MAP_SHARED)
    }

    /// Anonymous memory of the given protection and `MAP_…` flags.
    pub fn anonymous(pages: usize, prot: i32, flags: i32) -> Verdict<Area> {
        Area::raw(0, pages, prot, flags | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// Pages of a file, from page `first` of the file on.
    pub fn file(pages: usize, prot: i32, flags: i32, file: &impl AsRawFd, first: u64) -> Verdict<Area> {
        Area::raw(0, pages, prot, flags, file.as_raw_fd(), first)
    }

    /// An area at an address of the caller's choice (with MAP_FIXED in `flags`): within memory that the case owns.
    pub fn raw(at: usize, pages: usize, prot: i32, flags: i32, fd: RawFd, first: u64) -> Verdict<Area> {
        let offset = i64::try_from(first * page() as u64)?;
        // SAFETY: without MAP_FIXED the kernel chooses a free place; with it the case replaces memory of its own.
        let got = unsafe { libc::mmap(at as *mut libc::c_void, pages * page(), prot, flags, fd, offset) };
        if got == libc::MAP_FAILED {
            return fail(format!("mmap of {pages} pages, flags {flags:#x}: {}", Errno::last()));
        }
        Ok(Area { start: got as usize, pages })
    }

    /// A view of memory that something else mapped.
    pub fn at_address(start: usize, pages: usize) -> Area {
        Area { start, pages }
    }

    /// The address of page `n` (of the end, when `n` is the number of pages).
    pub fn at(&self, n: usize) -> usize {
        self.start + n * page()
    }

    /// The number of pages.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Pages `range` of this area as an area.
    pub fn part(&self, range: Range<usize>) -> Area {
        Area { start: self.at(range.start), pages: range.len() }
    }

    /// The first eight bytes of page `n`.
    pub fn word(&self, n: usize) -> u64 {
        // SAFETY: the page is aligned and mapped by the case; a fault here is the failure looked for.
        unsafe { (self.at(n) as *const u64).read_volatile() }
    }

    /// Sets the first eight bytes of page `n`.
    pub fn set(&self, n: usize, value: u64) {
        // SAFETY: as for `word`; nothing of Rust's lies in this memory.
        unsafe { (self.at(n) as *mut u64).write_volatile(value) }
    }

    /// The first four bytes of page `n` as a word that several tasks may use.
    pub fn atomic(&self, n: usize) -> &'static AtomicU32 {
        // SAFETY: aligned, mapped by the case and never unmapped while the word is in use.
        unsafe { AtomicU32::from_ptr(self.at(n) as *mut u32) }
    }

    /// Fills every word with a value that depends on `seed` and on its place.
    pub fn fill(&self, seed: u64) {
        for i in 0..self.words() {
            // SAFETY: within the area, which the case has mapped writable.
            unsafe { (self.start as *mut u64).add(i).write_volatile(mix(seed, i as u64)) }
        }
    }

    /// Checks that every word is what `fill` wrote.
    #[track_caller]
    pub fn check_fill(&self, what: &str, seed: u64) -> Verdict {
        for i in 0..self.words() {
            // SAFETY: within the area, which the case has mapped readable.
            let got = unsafe { (self.start as *const u64).add(i).read_volatile() };
            if got != mix(seed, i as u64) {
                return check_eq(&format!("{what}: word {i}"), got, mix(seed, i as u64));
            }
        }
        Ok(())
    }

    /// Checks that all bytes are zero.
    #[track_caller]
    pub fn check_zero(&self, what: &str) -> Verdict {
        for i in 0..self.words() {
            // SAFETY: within the area, which the case has mapped readable.
            let got = unsafe { (self.start as *const u64).add(i).read_volatile() };
            if got != 0 {
                return check_eq(&format!("{what}: word {i}"), got, 0);
            }
        }
        Ok(())
    }

    /// Changes the protection.
    pub fn protect(&self, prot: i32) -> Result<(), Errno> {
        // SAFETY: the area is the case's own.
        Errno::result(unsafe { libc::mprotect(self.start as *mut _, self.bytes(), prot) }).map(drop)
    }

    /// Gives advice (`MADV_…`).
    pub fn advise(&self, advice: i32) -> Result<(), Errno> {
        // SAFETY: the area is the case's own.
        Errno::result(unsafe { libc::madvise(self.start as *mut _, self.bytes(), advice) }).map(drop)
    }

    /// Unmaps the area.
    pub fn unmap(&self) -> Result<(), Errno> {
        // SAFETY: the area is the case's own and is not used afterwards.
        Errno::result(unsafe { libc::munmap(self.start as *mut _, self.bytes()) }).map(drop)
    }

    /// Resizes the area, moving it where `flags` (`MREMAP_…`) allow; `to` is the place for MREMAP_FIXED.
    pub fn remap(&self, pages: usize, flags: i32, to: usize) -> Result<Area, Errno> {
        // SAFETY: the area is the case's own; what lies at `to` is given up by the case.
        let got = unsafe { libc::mremap(self.start as *mut _, self.bytes(), pages * page(), flags, to) };
        if got == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Area { start: got as usize, pages }) }
    }

    /// A second mapping of the same shared memory.
    pub fn remap_copy(&self) -> Result<Area, Errno> {
        // SAFETY: a length of zero leaves the area and maps its memory once more at a free place (mremap(2)).
        let got = unsafe { libc::mremap(self.start as *mut _, 0, self.bytes(), libc::MREMAP_MAYMOVE) };
        if got == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Area { start: got as usize, pages: self.pages }) }
    }

    /// Whether all pages are mapped; none of them is touched.
    pub fn mapped(&self) -> bool {
        let mut resident = vec![0u8; self.pages];
        // SAFETY: the vector has a byte for each page.
        unsafe { libc::mincore(self.start as *mut _, self.bytes(), resident.as_mut_ptr()) == 0 }
    }

    fn bytes(&self) -> usize {
        self.pages * page()
    }

    fn words(&self) -> usize {
        self.bytes() / size_of::<u64>()
    }
}

/// A value that depends on both arguments in every bit (the finaliser of splitmix64).
pub fn mix(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The signal that a read of the byte at `address` raises, tried in a child.
pub fn read_fault(address: usize) -> Verdict<Option<Signal>> {
    // SAFETY: volatile, in a child that may die of it.
    fault(|| _ = unsafe { (address as *const u8).read_volatile() })
}

/// The signal that a write of the byte at `address` raises, tried in a child; what is there stays.
pub fn write_fault(address: usize) -> Verdict<Option<Signal>> {
    let at = address as *mut u8;
    // SAFETY: volatile, in a child that may die of it.
    fault(|| unsafe { at.write_volatile(at.read_volatile()) })
}

fn fault(access: impl FnOnce()) -> Verdict<Option<Signal>> {
    // SAFETY: the child touches the byte and exits.
    match unsafe { fork()? } {
        ForkResult::Child => {
            let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: plain calls on the child's own state.
            unsafe {
                libc::setrlimit(libc::RLIMIT_CORE, &no_core);
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                libc::signal(libc::SIGBUS, libc::SIG_DFL);
            }
            access();
            // SAFETY: _exit only ends the process.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => match waitpid(child, None)? {
            WaitStatus::Exited(_, 0) => Ok(None),
            WaitStatus::Signaled(_, signal, _) => Ok(Some(signal)),
            other => fail(format!("the child that touches a page ended with {other:?}")),
        },
    }
}
