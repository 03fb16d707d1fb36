//! A MAP_GROWSDOWN area that has grown keeps its pages and still grows when the page below is touched.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_maps::{map_of, vm_flags};
use crate::tools_memory::{Area, NONE, RW};

const HOLE: usize = 4096;

pub fn run(gate: &mut Gate) -> Verdict {
    // A hole large enough that the kernel's stack guard gap below the area stays free.
    let hole = Area::anonymous(HOLE, NONE, libc::MAP_PRIVATE)?;
    hole.unmap()?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_GROWSDOWN | libc::MAP_FIXED;
    Area::raw(hole.at(HOLE - 1), 1, RW, flags, -1, 0)?;
    for n in (HOLE - 5..HOLE).rev() {
        hole.set(n, n as u64);
    }
    let before = map_of(hole.at(HOLE - 1))?;
    check_eq("the area's start after growing", before.start, hole.at(HOLE - 5))?;
    gate.checkpoint()?;
    check_eq("the area's start", map_of(hole.at(HOLE - 1))?.start, before.start)?;
    check("the area has the flag gd", vm_flags(hole.at(HOLE - 1))?.contains(&"gd".to_owned()))?;
    for n in (HOLE - 12..HOLE - 5).rev() {
        hole.set(n, n as u64);
    }
    check_eq("the area's start after growing on", map_of(hole.at(HOLE - 1))?.start, hole.at(HOLE - 12))?;
    (HOLE - 12..HOLE).try_for_each(|n| check_eq("a word of the area", hole.word(n), n as u64))
}
