//! What cases of x86 processors share: memory below 4 GiB, going on after a faulting instruction, and programs of 32-bit
//! code.

use crate::gate::{Gate, Verdict, check, fail};
use crate::tools_signals::handle_info;
use crate::tools_tasks::child;
use nix::unistd::Pid;
use std::ffi::{c_int, c_void};
use std::io::Write as _;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A fresh page below 4 GiB, writable and executable, all zero.
pub fn low_page() -> Verdict<&'static mut [u32; 1024]> {
    let prot = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    // SAFETY: a fresh mapping at an address of the kernel's choice, never unmapped.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0) };
    check("memory below 4 GiB", at != libc::MAP_FAILED)?;
    // SAFETY: the mapping is a page of zeros that nobody else uses.
    Ok(unsafe { &mut *at.cast() })
}

/// How many bytes of the faulting instruction `skip` goes over.
static SKIPPED: AtomicU32 = AtomicU32::new(0);
static FAULTS: AtomicU32 = AtomicU32::new(0);

extern "C" fn skip(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    FAULTS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the kernel passes the context of the interrupted thread.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    context.uc_mcontext.gregs[libc::REG_RIP as usize] += i64::from(SKIPPED.load(Ordering::SeqCst));
}

/// Has each SIGSEGV go on after the faulting instruction, which is `length` bytes long.
pub fn skip_faults(length: u32) -> Verdict {
    SKIPPED.store(length, Ordering::SeqCst);
    handle_info(libc::SIGSEGV, skip, 0)
}

/// How often SIGSEGV was caught.
pub fn caught_faults() -> u32 {
    FAULTS.load(Ordering::SeqCst)
}

/// The code between two symbols of an assembly block.
///
/// # Safety
/// `start` is the first byte of it and `end` the first after it.
pub unsafe fn code(start: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: by the caller.
    unsafe { std::slice::from_raw_parts(start, end.offset_from(start) as usize) }
}

/// Starts a child that executes a 32-bit program of `code`, with these descriptors at these numbers.
pub fn start32(gate: &mut Gate, code: &[u8], stdio: &[(&dyn AsRawFd, RawFd)]) -> Verdict<Pid> {
    let path = program32(gate, code)?;
    child(gate, |_| {
        for (fd, number) in stdio {
            // SAFETY: the call takes numbers only; the descriptors are this child's.
            unsafe { libc::dup2(fd.as_raw_fd(), *number) };
        }
        fail(format!("the program was not executed: {}", std::process::Command::new(&path).exec()))
    })
}

/// Writes a 32-bit program of `code`: an executable of one segment (elf(5)).
fn program32(gate: &Gate, code: &[u8]) -> Verdict<PathBuf> {
    /// Where the program is loaded.
    const BASE: u32 = 0x0804_8000;
    /// The file header and one program header.
    const HEADERS: u32 = 52 + 32;
    let size = HEADERS + code.len() as u32;
    // 32 bit, little endian, version 1.
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |file: &mut Vec<u8>, list: &[u16]| list.iter().for_each(|h| file.extend(h.to_le_bytes()));
    let words = |file: &mut Vec<u8>, list: &[u32]| list.iter().for_each(|w| file.extend(w.to_le_bytes()));
    // An executable for the 386.
    halves(&mut file, &[2, 3]);
    // Version, entry, place of the program header, no sections, no flags.
    words(&mut file, &[1, BASE + HEADERS, 52, 0, 0]);
    halves(&mut file, &[52, 32, 1, 0, 0, 0]);
    // Load everything, readable and executable, page aligned.
    words(&mut file, &[1, 0, BASE, BASE, size, size, 5, 4096]);
    file.extend_from_slice(code);
    let path = gate.path("program32");
    std::fs::File::options().write(true).create_new(true).mode(0o755).open(&path)?.write_all(&file)?;
    Ok(path)
}
