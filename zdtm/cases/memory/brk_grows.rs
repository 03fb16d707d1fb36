//! The program break stays where it was, the heap keeps its data, and the break still moves up and down.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, page};

const PAGES: usize = 256;

/// The break; `by` bytes further after the call.
fn sbrk(by: isize) -> usize {
    // SAFETY: the memory moved over is the case's own: it was got by sbrk before.
    unsafe { libc::sbrk(by) as usize }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let misaligned = sbrk(0) % page();
    sbrk((page() - misaligned) as isize);
    let heap = Area::at_address(sbrk((PAGES * page()) as isize), PAGES);
    heap.fill(9);
    // A break in the middle of a page, too.
    let odd = sbrk(100) + 100;
    gate.checkpoint()?;
    check_eq("the break", sbrk(0), odd)?;
    heap.check_fill("the heap", 9)?;
    let more = Area::at_address(heap.at(PAGES) + page(), 512);
    check_eq("growing the break", sbrk((513 * page()) as isize), odd)?;
    more.check_zero("the new part of the heap")?;
    more.fill(10);
    more.check_fill("the new part of the heap, written", 10)?;
    sbrk(-((513 * page() + 100) as isize));
    check_eq("the break moved back", sbrk(0), heap.at(PAGES))?;
    check_eq("the page above the break is mapped", more.part(0..1).mapped(), false)?;
    heap.check_fill("the heap in the end", 9)
}
