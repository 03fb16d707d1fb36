//! The end of the data segment is where it was, to the byte, also where the heap has a hole, parts of another protection
//! and no area at its end.
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_memory::{Area, R, RW, page};

fn brk(to: usize) -> usize {
    // SAFETY: the case gives back at most what it took from the heap.
    usize::try_from(unsafe { libc::syscall(libc::SYS_brk, to) }).unwrap_or(0)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let first = brk(0).next_multiple_of(page());
    let end = first + 16 * page() + 100;
    if brk(end) != end {
        return fail("the heap does not grow");
    }
    let heap = Area::at_address(first, 16);
    heap.fill(1);
    heap.part(2..4).protect(R)?;
    heap.part(6..8).unmap()?;
    Area::at_address(first, 17).part(12..17).unmap()?;
    gate.checkpoint()?;
    check_eq("the end of the heap", brk(0), end)?;
    for part in [0..6, 8..12] {
        let words = part.start * page() / size_of::<u64>();
        check_eq("the heap", heap.word(part.start), crate::tools_memory::mix(1, words as u64))?;
    }
    check_eq("the heap grown", brk(end + page()), end + page())?;
    let new = Area::at_address(first, 18).part(17..18);
    new.protect(RW)?;
    new.check_zero("what is new")?;
    check_eq("the heap shrunk", brk(first + page()), first + page())
}
