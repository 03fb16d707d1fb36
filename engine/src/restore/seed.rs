//! The seed: a static ELF file of two pages that the root of a restored tree executes, so that no byte of the engine's
//! memory is in it. Its code is the stub; its work area, an anonymous mapping that it moves into at once, is the same
//! in every task of the tree, at addresses that no image uses.

use super::load::{Images, LiveImage};
use crate::error::{Doing, Error, Result};
use crate::sys::{self, RemoteAddr};
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use stasis_arch::native::{self, stub};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};

/// Room for the vDSO and its data while address spaces are built.
const PARKING: u64 = 1 << 18;
/// Room for a process' batches.
const BATCH: u64 = 2 << 20;
/// Room for one thread's batch.
pub const THREAD_SLOT: u64 = 2048;

/// Where the seed is in every task.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Where the ELF file is loaded.
    pub load: u64,
    /// The work area: a page of code, then batches, thread slots, parking.
    pub area: u64,
    /// Slots for threads.
    pub threads: u64,
}

impl Layout {
    /// Finds a hole that is free in every address space of the images.
    pub fn find(images: &Images) -> Result<Layout> {
        let threads = images.tasks.iter().map(|t| t.threads.len()).max().unwrap_or(1) as u64;
        let layout = Layout { load: 0, area: 0, threads };
        let need = layout.len() + 4 * sys::page_size();
        let mut used: Vec<(u64, u64)> = images
            .tasks
            .iter()
            .filter_map(|t| t.live.as_ref())
            .flat_map(|live| {
                let brk = (live.mm.mm_start_brk, live.mm.mm_brk);
                live.mm.vmas.iter().map(|v| (v.start, v.end)).chain([brk])
            })
            .collect();
        used.sort_unstable();
        const LOWEST: u64 = 1 << 24;
        const ALIGN: u64 = 1 << 21;
        let mut at = LOWEST;
        for (start, end) in used {
            if start >= at + need + ALIGN {
                break;
            }
            at = at.max(end.next_multiple_of(ALIGN).saturating_add(ALIGN));
        }
        if at.saturating_add(need) > sys::task_size() / 2 {
            return Err(Error::state("the address spaces of the images leave no common hole for the restore"));
        }
        Ok(Layout { load: at, area: at + 4 * sys::page_size(), ..layout })
    }

    /// A hole of `len` bytes in one address space, beside the seed, whatever is still to be mapped there.
    pub fn hole_beside(&self, live: &LiveImage, len: u64) -> Result<u64> {
        const LOWEST: u64 = 1 << 24;
        const ALIGN: u64 = 1 << 21;
        let seed = (self.load, self.area + self.len());
        let brk = (live.mm.mm_start_brk, live.mm.mm_brk);
        let mut used: Vec<(u64, u64)> = live.mm.vmas.iter().map(|v| (v.start, v.end)).chain([brk, seed]).collect();
        used.sort_unstable();
        let mut at = LOWEST;
        for (start, end) in used {
            if at.checked_add(len).is_some_and(|hole| hole <= start) {
                return Ok(at);
            }
            at = at.max(end.checked_next_multiple_of(ALIGN).unwrap_or(u64::MAX));
        }
        match at.checked_add(len).is_some_and(|end| end <= sys::task_size() / 2) {
            true => Ok(at),
            false => Err(Error::state(format!("an address space of the images has no hole of {len} bytes"))),
        }
    }

    /// Bytes of the work area.
    pub fn len(&self) -> u64 {
        sys::page_size() + BATCH + (self.threads * THREAD_SLOT).next_multiple_of(sys::page_size()) + PARKING
    }

    /// The stub.
    pub fn stub(&self) -> u64 {
        self.area
    }

    /// A process' batches: address and length.
    pub fn batch(&self) -> (RemoteAddr, u64) {
        (RemoteAddr(self.area + sys::page_size()), BATCH)
    }

    /// The batch of thread `index` of a process.
    pub fn thread_batch(&self, index: usize) -> (RemoteAddr, u64) {
        (RemoteAddr(self.area + sys::page_size() + BATCH + index as u64 * THREAD_SLOT), THREAD_SLOT)
    }

    /// Where the vDSO and its data wait.
    pub fn parking(&self) -> u64 {
        self.area + self.len() - PARKING
    }
}

/// Writes the ELF file and opens it for execution.
pub fn program(layout: &Layout) -> Result<OwnedFd> {
    let image = elf(layout);
    match in_memfd(&image) {
        // vm.memfd_noexec forbids: a file without a name does.
        Err(sys::Errno::EACCES | sys::Errno::EINVAL) => in_unlinked_file(&image),
        other => other.doing(|| "make the seed"),
    }
}

fn in_memfd(image: &[u8]) -> sys::Result<OwnedFd> {
    let executable = MFdFlags::from_bits_retain(libc::MFD_EXEC);
    let fd = match memfd_create("stasis-seed", MFdFlags::MFD_CLOEXEC | executable) {
        // before Linux 6.3 every memfd is executable
        Err(sys::Errno::EINVAL) => memfd_create("stasis-seed", MFdFlags::MFD_CLOEXEC)?,
        other => other?,
    };
    write_and_reopen(fd, image)
}

fn write_and_reopen(fd: OwnedFd, image: &[u8]) -> sys::Result<OwnedFd> {
    let mut file = std::fs::File::from(fd);
    file.write_all(image).map_err(|e| sys::Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
    // A file open for writing cannot be executed.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    nix::fcntl::open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
}

fn in_unlinked_file(image: &[u8]) -> Result<OwnedFd> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let fd = nix::fcntl::open("/tmp", flags, Mode::S_IRWXU).doing(|| "make a file for the seed in /tmp")?;
    write_and_reopen(fd, image).doing(|| "write the seed")
}

/// Where the seed's first batches go, before it has its work area.
pub fn first_batch(layout: &Layout) -> (RemoteAddr, u64) {
    (RemoteAddr(layout.load + sys::page_size()), sys::page_size())
}

/// An ELF file that loads a page of code and an empty page at the layout's address and starts at the stub's
/// breakpoint.
fn elf(layout: &Layout) -> Vec<u8> {
    let page = sys::page_size();
    let code = &stub::RESTORE;
    let entry = layout.load + (code.len() - stub::BREAKPOINT_LEN) as u64;
    let mut file = Vec::new();
    // Elf64_Ehdr
    file.extend_from_slice(b"\x7fELF");
    file.extend_from_slice(&[2, native::ELF_DATA, 1, 0]);
    file.extend_from_slice(&[0; 8]);
    put16(&mut file, &[2, native::ELF_MACHINE]); // ET_EXEC
    put32(&mut file, &[1]);
    put64(&mut file, &[entry, 64, 0]);
    put32(&mut file, &[native::ELF_FLAGS]);
    put16(&mut file, &[64, 56, 2, 0, 0, 0]);
    // Elf64_Phdr: PT_LOAD, readable and executable
    put32(&mut file, &[1, 5]);
    put64(&mut file, &[page, layout.load, layout.load, code.len() as u64, code.len() as u64, page]);
    // and one readable and writable, all zero
    put32(&mut file, &[1, 6]);
    put64(&mut file, &[page, layout.load + page, layout.load + page, 0, page, page]);
    file.resize(page as usize, 0);
    file.extend_from_slice(code);
    file
}

fn put16(file: &mut Vec<u8>, words: &[u16]) {
    words.iter().for_each(|w| file.extend_from_slice(&w.to_ne_bytes()));
}

fn put32(file: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|w| file.extend_from_slice(&w.to_ne_bytes()));
}

fn put64(file: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|w| file.extend_from_slice(&w.to_ne_bytes()));
}
