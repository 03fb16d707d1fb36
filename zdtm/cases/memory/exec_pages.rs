//! Code in a private mapping of a file and in anonymous memory (as a compiler at run time makes it) still runs.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::map_of;
use crate::tools_memory::{Area, RX, page};
use std::fs::File;

/// Position-independent code without calls: it may be run from a copy.
#[inline(never)]
extern "C" fn answer(x: u32) -> u32 {
    std::hint::black_box(x) ^ 0x2a2a
}

fn call(at: usize, x: u32) -> u32 {
    // SAFETY: `at` is a copy of `answer`'s code in executable memory.
    let code: extern "C" fn(u32) -> u32 = unsafe { std::mem::transmute(at) };
    code(x)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let code = answer as extern "C" fn(u32) -> u32 as usize;
    let (first, offset) = (code - code % page(), code % page());
    let text = map_of(first)?;
    let in_file = (text.offset as usize + first - text.start) / page();
    let mapped = Area::file(2, RX, libc::MAP_PRIVATE, &File::open("/proc/self/exe")?, in_file as u64)?;
    let made = Area::private(2)?;
    // SAFETY: both are at least two pages long; the text goes on for more than a page after `answer`.
    unsafe { std::ptr::copy_nonoverlapping(first as *const u8, made.at(0) as *mut u8, 2 * page()) };
    made.protect(RX)?;
    gate.checkpoint()?;
    check_eq("protections", (map_of(mapped.at(0))?.prot, map_of(made.at(0))?.prot), ("r-xp".into(), "r-xp".into()))?;
    check_eq("the code in its place", call(code, 1), 0x2a2b)?;
    check_eq("the code mapped from the file", call(mapped.at(0) + offset, 2), 0x2a28)?;
    check_eq("the code in anonymous memory", call(made.at(0) + offset, 3), 0x2a29)
}
