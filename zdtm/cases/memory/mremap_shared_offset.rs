//! Two views of one shared area, one moved by mremap and one doubled by it, still show the same pages to a relative.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_memory::{Area, NONE};
use crate::tools_relatives::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let all = Area::shared(8)?;
    all.fill(6);
    let child = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        check_eq("what the parent wrote through its second view", all.word(6), 66)?;
        all.set(5, 55);
        arrive(word);
        Ok(())
    })?;
    await_word(word, 1)?;
    let place = Area::anonymous(2, NONE, libc::MAP_PRIVATE)?;
    let moved = all.part(4..6).remap(2, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, place.at(0))?;
    // An old size of zero makes a second view of a shared area (mremap(2)).
    let second = all.part(6..6).remap(2, libc::MREMAP_MAYMOVE, 0)?;
    all.part(0..4).unmap()?;
    gate.checkpoint()?;
    check_eq("page 7 in both views", second.word(1), all.word(7))?;
    second.set(0, 66);
    check_eq("page 6 through the first view", all.word(6), 66)?;
    arrive(word);
    await_word(word, 3)?;
    check_eq("page 5 as the child wrote it", moved.word(1), 55)?;
    wait_ok(child)
}
