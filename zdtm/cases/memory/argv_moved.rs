//! A process that moved its command line and environment elsewhere (as daemons do for a title) keeps them there.
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_memory::Area;
use nix::errno::Errno;
use std::fs;

/// `struct prctl_mm_map` of linux/prctl.h.
#[repr(C)]
struct MmMap {
    code: [u64; 2],
    data: [u64; 2],
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arguments: [u64; 2],
    environment: [u64; 2],
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

const TITLE: &[u8] = b"a title: working\0-v\0";
const ENVIRONMENT: &[u8] = b"MOVED=yes\0";

pub fn run(gate: &mut Gate) -> Verdict {
    let area = Area::private(1)?;
    let at = area.at(0) as u64;
    // SAFETY: both texts fit into the page.
    unsafe {
        std::ptr::copy_nonoverlapping(TITLE.as_ptr(), at as *mut u8, TITLE.len());
        std::ptr::copy_nonoverlapping(ENVIRONMENT.as_ptr(), (at as *mut u8).add(TITLE.len()), ENVIRONMENT.len());
    }
    let stat = fs::read_to_string("/proc/self/stat")?;
    let Some((_, rest)) = stat.rsplit_once(") ") else { return fail("stat has no name") };
    let fields: Vec<u64> = rest.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    let end = at + TITLE.len() as u64;
    let field = |n: usize| fields[n - 3];
    let map = MmMap {
        code: [field(26), field(27)],
        data: [field(45), field(46)],
        start_brk: field(47),
        // SAFETY: only reads the break.
        brk: unsafe { libc::sbrk(0) } as u64,
        start_stack: field(28),
        arguments: [at, end],
        environment: [end, end + ENVIRONMENT.len() as u64],
        auxv: 0,
        auxv_size: 0,
        exe_fd: u32::MAX,
    };
    // SAFETY: the structure is as linux/prctl.h has it and outlives the call.
    let set = unsafe { libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, &raw const map, size_of::<MmMap>(), 0) };
    Errno::result(set)?;
    gate.checkpoint()?;
    check_eq("cmdline", fs::read("/proc/self/cmdline")?, TITLE.to_vec())?;
    check_eq("environ", fs::read("/proc/self/environ")?, ENVIRONMENT.to_vec())?;
    // SAFETY: within the page.
    unsafe { (at as *mut u8).write_volatile(b'A') };
    check_eq("the first letter after a change", fs::read("/proc/self/cmdline")?[0], b'A')
}
