//! Memory moved and grown by mremap keeps its data where it went, leaves nothing where it was, and can move again.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_memory::{Area, NONE};

pub fn run(gate: &mut Gate) -> Verdict {
    let old = Area::private(16)?;
    old.fill(4);
    let place = Area::anonymous(64, NONE, libc::MAP_PRIVATE)?;
    let moved = old.remap(32, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, place.at(8))?;
    check_eq("the new place", moved.at(0), place.at(8))?;
    // The middle goes to the end of the place: its pages' order no longer follows their addresses.
    let middle = moved.part(4..8).remap(4, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, place.at(56))?;
    let kept: Vec<u64> = (0..4).map(|n| middle.word(n)).collect();
    moved.part(16..32).fill(5);
    gate.checkpoint()?;
    check("the old place is unmapped", !old.part(0..1).mapped() && !old.part(15..16).mapped())?;
    check("the middle has left a gap", !moved.part(4..8).mapped())?;
    check_eq("the middle", (0..4).map(|n| middle.word(n)).collect(), kept.clone())?;
    moved.part(16..32).check_fill("the grown part", 5)?;
    let back = middle.remap(12, libc::MREMAP_MAYMOVE, 0)?;
    check_eq("the middle after one more move", (0..4).map(|n| back.word(n)).collect(), kept)?;
    back.part(4..12).check_zero("what the move added")
}
