//! Private mappings of a memory file keep the pages that were written, in relatives too; the others are the file's.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_memfd::memfd;
use crate::tools_memory::{Area, R, RW, page};
use crate::tools_relatives::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let file = memfd(b"private", 0)?;
    file.set_len(8 * page() as u64)?;
    let shared = Area::file(8, RW, libc::MAP_SHARED, &file, 0)?;
    shared.fill(1);
    let private = Area::file(6, RW, libc::MAP_PRIVATE, &file, 2)?;
    private.part(1..3).fill(2);
    let fixed = Area::file(2, RW, libc::MAP_PRIVATE, &file, 0)?;
    fixed.set(0, 4);
    fixed.protect(R)?;
    let child = gate.fork(|gate| {
        private.set(5, 55);
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        private.part(1..3).check_fill("the parent's pages in the child", 2)?;
        check_eq("the child's own", private.word(5), 55)?;
        check_eq("a page of the file", private.word(0), 77)
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    private.part(1..3).check_fill("the private pages", 2)?;
    check_eq("a private page for reading", fixed.word(0), 4)?;
    shared.check_fill("the file", 1)?;
    check_eq("a page of the file", private.word(5), shared.word(7))?;
    shared.set(2, 77);
    check_eq("what is written to the file", private.word(0), 77)?;
    arrive(word);
    wait_ok(child)
}
