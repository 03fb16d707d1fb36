//! A child made an area that it shares with its parent grow in place, where the parent has another by now: it is still one
//! area, which can be moved, and its pages are shared.
use crate::gate::{Gate, Verdict};
use crate::tools::wait_ok;
use crate::tools_maps::{check_sharing, total_pss};
use crate::tools_memory::{Area, NONE, RW, page};
use crate::tools_relatives::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let pages = (8 << 20) / page();
    let room = Area::anonymous(4 * pages, NONE, libc::MAP_PRIVATE)?;
    room.unmap()?;
    let fixed = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let area = Area::raw(room.at(pages), pages, RW, fixed, -1, 0)?;
    area.fill(1);
    let child = gate.fork(|gate| {
        let grown = area.remap(pages + 16, 0, 0)?;
        grown.part(pages..pages + 16).fill(2);
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        let moved = grown.remap(2 * pages, libc::MREMAP_MAYMOVE, 0)?;
        moved.part(0..pages).check_fill("the pages as inherited", 1)?;
        moved.part(pages..pages + 16).check_fill("the pages of its own", 2)?;
        moved.part(pages + 16..2 * pages).check_zero("the new pages")
    })?;
    await_word(word, 1)?;
    let other = Area::raw(room.at(2 * pages), 8, RW, fixed, -1, 0)?;
    other.protect(crate::tools_memory::R)?;
    let before = total_pss(&[child])?;
    gate.checkpoint()?;
    let after = total_pss(&[child])?;
    check_sharing(before, after)?;
    other.check_zero("the parent's other area")?;
    arrive(word);
    wait_ok(child)
}
