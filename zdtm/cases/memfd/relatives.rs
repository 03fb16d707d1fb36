//! A memory file that tasks share, by descriptors and by mappings of which some have no descriptor, stays one file.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{close_in_child, position, read_once};
use crate::tools_memfd::memfd;
use crate::tools_memory::{Area, R, RW, page};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::unistd::{Whence, lseek};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let file = memfd(b"shared", 0)?;
    file.set_len(4 * page() as u64)?;
    let area = Area::file(4, RW, libc::MAP_SHARED, &file, 0)?;
    area.fill(3);
    let holder = gate.fork(|gate| {
        area.unmap()?;
        arrive(word);
        gate.wait();
        await_word(word, 3)?;
        check_eq("the shared position", position(&file)?, 8)?;
        check_eq("what the parent wrote", read_once(&file, 8)?.len(), 8)?;
        nix::unistd::ftruncate(&file, 8 * page() as i64)?;
        arrive(word);
        Ok(())
    })?;
    let reader = gate.fork(|gate| {
        let own = Area::file(2, R, libc::MAP_SHARED, &file, 1)?;
        area.unmap()?;
        close_in_child(&file);
        arrive(word);
        gate.wait();
        await_word(word, 3)?;
        check_eq("the page that the parent wrote", own.word(0), 99)
    })?;
    await_word(word, 2)?;
    gate.checkpoint()?;
    area.check_fill("the file", 3)?;
    area.set(1, 99);
    lseek(&file, 8, Whence::SeekSet)?;
    arrive(word);
    await_word(word, 4)?;
    check_eq("the size that the child set", file.metadata()?.len(), 8 * page() as u64)?;
    check_eq("the position that the child moved", position(&file)?, 16)?;
    wait_ok(holder)?;
    wait_ok(reader)
}
