//! What cases of x86 processors share: memory below 4 GiB, and going on after a faulting instruction.

use crate::gate::{Verdict, check};
use crate::tools_signals::handle_info;
use std::ffi::{c_int, c_void};
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
