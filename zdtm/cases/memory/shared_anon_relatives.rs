//! Shared anonymous memory stays common: inherited, partly unmapped in one, with another protection in another.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::map_of;
use crate::tools_memory::{Area, NONE, R, write_fault};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::sys::signal::Signal;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let area = Area::shared(8)?;
    area.fill(1);
    let partial = gate.fork(|gate| {
        area.part(2..4).unmap()?;
        arrive(word);
        gate.wait();
        await_word(word, 4)?;
        check("pages 2 and 3 are unmapped here", !area.part(2..3).mapped() && !area.part(3..4).mapped())?;
        check_eq("what the parent wrote", area.word(7), 7)?;
        area.set(1, 100);
        arrive(word);
        Ok(())
    })?;
    let protected = gate.fork(|gate| {
        area.part(0..4).protect(R)?;
        area.part(6..7).protect(NONE)?;
        arrive(word);
        gate.wait();
        await_word(word, 5)?;
        check_eq("writing a read-only page", write_fault(area.at(3))?, Some(Signal::SIGSEGV))?;
        check_eq("the protection of page 6", map_of(area.at(6))?.prot, "---s".to_owned())?;
        check_eq("what parent and sibling wrote", (area.word(7), area.word(1)), (7, 100))
    })?;
    await_word(word, 2)?;
    // One born after the mapping was made and after others had changed their view.
    let late = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        await_word(word, 4)?;
        check_eq("what the parent wrote", area.word(7), 7)
    })?;
    await_word(word, 3)?;
    gate.checkpoint()?;
    area.check_fill("the area", 1)?;
    area.set(7, 7);
    arrive(word);
    [partial, protected, late].into_iter().try_for_each(wait_ok)?;
    check_eq("what a child wrote", area.word(1), 100)
}
