//! A handler for memory faults, as garbage collectors have one, still gets the faulting address, makes the page
//! accessible, and the faulting instruction goes on.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::handle_info;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

const PAGE: usize = 4096;
/// `si_code` of an access that the protection forbids.
const SEGV_ACCERR: i32 = 2;
static AREA: AtomicUsize = AtomicUsize::new(0);
static FAULTS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

extern "C" fn handler(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes the signal's information, which holds an address.
    let (address, code) = unsafe { ((*info).si_addr() as usize, (*info).si_code) };
    let page = address.wrapping_sub(AREA.load(Ordering::SeqCst)) / PAGE;
    match FAULTS.get(page) {
        Some(fault) if code == SEGV_ACCERR => {
            fault.fetch_add(1 + address % PAGE, Ordering::SeqCst);
            let at = (address / PAGE * PAGE) as *mut c_void;
            // SAFETY: the page belongs to the case's own mapping.
            unsafe { libc::mprotect(at, PAGE, libc::PROT_READ | libc::PROT_WRITE) };
        }
        // SAFETY: another fault would come for ever.
        _ => unsafe { libc::_exit(111) },
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    handle_info(libc::SIGSEGV, handler, 0)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping at an address of the kernel's choice, never unmapped.
    let area = unsafe { libc::mmap(null_mut(), 4 * PAGE, libc::PROT_NONE, flags, -1, 0) };
    check("the mapping", area != libc::MAP_FAILED)?;
    AREA.store(area as usize, Ordering::SeqCst);
    let touch = |page: usize, offset: usize| {
        // SAFETY: the address lies in the mapping; the handler makes it accessible.
        unsafe {
            let at = area.cast::<u8>().add(page * PAGE + offset);
            at.write_volatile(page as u8 + 1);
            at.read_volatile()
        }
    };
    check_eq("a write before", touch(0, 11), 1)?;
    gate.checkpoint()?;
    check_eq("a write to the page that was made accessible", touch(0, 12), 1)?;
    check_eq("writes after", [touch(1, 21), touch(2, 4095), touch(3, 1)], [2, 3, 4])?;
    let faults = FAULTS.each_ref().map(|f| f.load(Ordering::SeqCst));
    // The hardware of s390x tells the page only. One is added to each, so that a fault is told from none.
    let told = |offset: usize| if cfg!(cpu = "s390x") { 1 } else { 1 + offset };
    check_eq("the offsets of the faults, plus one", faults, [11, 21, 4095, 1].map(told))
}
