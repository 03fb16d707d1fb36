//! A private file mapping keeps its written pages, shows the file in the others, and writes nothing to the file.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, RW, mix, page};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let contents: Vec<u8> = (0..8 * page() as u64 / 8).flat_map(|i| mix(1, i).to_ne_bytes()).collect();
    fs::write(gate.path("mapped"), &contents)?;
    let file = OpenOptions::new().read(true).write(true).open(gate.path("mapped"))?;
    let area = Area::file(8, RW, libc::MAP_PRIVATE, &file, 0)?;
    drop(file);
    area.part(2..4).fill(2);
    area.set(6, 0);
    gate.checkpoint()?;
    let from_file = |n: usize| mix(1, (n * page() / 8) as u64);
    area.part(2..4).check_fill("the written pages", 2)?;
    check_eq("a page of which the first word was written", area.word(6), 0)?;
    // SAFETY: within the page just read.
    let second = unsafe { ((area.at(6) + 8) as *const u64).read_volatile() };
    check_eq("the next word of that page", second, mix(1, (6 * page() / 8 + 1) as u64))?;
    for n in [0, 1, 4, 5, 7] {
        check_eq(&format!("unwritten page {n}"), area.word(n), from_file(n))?;
    }
    check_eq("the file is as it was", fs::read(gate.path("mapped"))? == contents, true)?;
    // A page that was never written is still the file's.
    OpenOptions::new().write(true).open(gate.path("mapped"))?.write_all_at(&5u64.to_ne_bytes(), page() as u64 * 5)?;
    check_eq("an unwritten page after a write to the file", area.word(5), 5)
}
