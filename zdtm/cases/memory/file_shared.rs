//! Writes to a shared file mapping reach the file, writes to the file reach the mapping, before and after.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, RW, page};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("mapped");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    file.set_len(8 * page() as u64)?;
    let area = Area::file(8, RW, libc::MAP_SHARED, &file, 0)?;
    area.set(1, 11);
    let at = |n: usize| (n * page()) as u64;
    let word_of = |n: usize| -> Verdict<u64> {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, at(n))?;
        Ok(u64::from_ne_bytes(word))
    };
    gate.checkpoint()?;
    check_eq("a page written before, in the mapping", area.word(1), 11)?;
    check_eq("a page written before, in the file", word_of(1)?, 11)?;
    area.set(2, 22);
    check_eq("a page written afterwards, in the file", word_of(2)?, 22)?;
    file.write_all_at(&33u64.to_ne_bytes(), at(3))?;
    check_eq("a page of the file written afterwards, in the mapping", area.word(3), 33)?;
    check_eq("the file's size", std::fs::metadata(&path)?.len(), at(8))
}
