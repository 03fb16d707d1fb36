//! Shape of a benchmark: a process of 20 000 memory areas, every second one with a page of data.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};
use std::num::NonZeroUsize;
use std::ptr::NonNull;

const AREAS: usize = 20_000;

pub fn run(gate: &mut Gate) -> Verdict {
    let page = 4096;
    let length = NonZeroUsize::new(AREAS * page).expect("not zero");
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let at = unsafe { mmap_anonymous(None, length, prot, MapFlags::MAP_PRIVATE)? };
    let word = |n: usize| at.cast::<usize>().as_ptr().wrapping_add(n * page / size_of::<usize>());
    for n in 0..AREAS {
        if n % 2 == 0 {
            // SAFETY: inside the mapping, which is writable here.
            unsafe { word(n).write_volatile(n + 1) };
        } else {
            let area = NonNull::new(word(n).cast()).expect("inside the mapping");
            // SAFETY: a whole page of the mapping, to which nothing refers.
            unsafe { mprotect(area, page, ProtFlags::PROT_READ)? };
        }
    }
    gate.checkpoint()?;
    for n in 0..AREAS {
        // SAFETY: inside the mapping, which is readable everywhere.
        let got = unsafe { word(n).read_volatile() };
        check_eq("the word of an area", got, if n % 2 == 0 { n + 1 } else { 0 })?;
    }
    Ok(())
}
