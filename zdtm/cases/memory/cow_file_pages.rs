//! Pages of a private file mapping written before a fork are common after it; those written later are one's own.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_memory::{Area, RW, page};
use crate::tools_relatives::{arrive, await_word, shared_word};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    fs::write(gate.path("mapped"), vec![1u8; 6 * page()])?;
    let area = Area::file(6, RW, libc::MAP_PRIVATE, &File::open(gate.path("mapped"))?, 0)?;
    area.set(1, 10);
    area.set(2, 20);
    let child = gate.fork(|gate| {
        area.set(2, 21);
        area.set(3, 31);
        arrive(word);
        gate.wait();
        check_words(&area, [ONES, 10, 21, 31, ONES, ONES])
    })?;
    await_word(word, 1)?;
    area.set(4, 40);
    gate.checkpoint()?;
    check_words(&area, [ONES, 10, 20, ONES, 40, ONES])?;
    wait_ok(child)
}

const ONES: u64 = 0x0101_0101_0101_0101;

fn check_words(area: &Area, want: [u64; 6]) -> Verdict {
    check_eq("the first words of the pages", std::array::from_fn(|n| area.word(n)), want)
}
