//! An attachment with a hole, a part that was moved away and a part that may only be read.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{about_segment, attach, segment};
use crate::tools_memory::Area;

pub fn run(gate: &mut Gate) -> Verdict {
    let id = segment(libc::IPC_PRIVATE, 8, 0o600)?;
    let area = attach(id, 8, 0)?;
    area.fill(5);
    let place = Area::private(2)?;
    area.part(2..3).unmap()?;
    area.part(4..5).protect(libc::PROT_READ)?;
    let moved = area.part(6..8).remap(2, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, place.at(0))?;
    let before = about_segment(id)?;
    gate.checkpoint()?;
    check_eq("what is known of it", about_segment(id)?, before)?;
    let whole = attach(id, 8, 0)?;
    whole.check_fill("the segment", 5)?;
    whole.set(6, 0xee);
    check_eq("a word of the part that was moved", moved.word(0), 0xee)?;
    whole.set(1, 0xdd);
    check_eq("a word of the part that stayed", area.word(1), 0xdd)
}
