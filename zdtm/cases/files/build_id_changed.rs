//! A program file of the same size with another build id than at the dump fails the restore, when that is validated.
//@ options: --file-validation buildid
//@ restore-fails: watched
//@ damage: flip scratch:watched
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::read_once;
use crate::tools_memory::{Area, R};
use std::fs::{self, File};

/// A 64-bit ELF file (elf(5)) with one note, the build id, which lies across the middle of the file.
fn program() -> Vec<u8> {
    let mut file = b"\x7fELF".to_vec();
    // Class, data, version; the rest of the identification is zero.
    file.extend([2, if cfg!(target_endian = "little") { 1 } else { 2 }, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let short = |v: u16| v.to_ne_bytes();
    let word = |v: u32| v.to_ne_bytes();
    let long = |v: u64| v.to_ne_bytes();
    // Type ET_DYN, machine none; version; entry, program headers, section headers.
    file.extend([short(3), short(0)].concat());
    file.extend(word(1));
    file.extend([long(0), long(64), long(0)].concat());
    file.extend(word(0));
    file.extend([short(64), short(56), short(1), short(64), short(0), short(0)].concat());
    // PT_NOTE, readable, 36 bytes at 120.
    file.extend([word(4), word(4)].concat());
    file.extend([long(120), long(120), long(120), long(36), long(36), long(4)].concat());
    // The note: name of 4 bytes, descriptor of 20, type NT_GNU_BUILD_ID.
    file.extend([word(4), word(20), word(3)].concat());
    file.extend(b"GNU\0");
    file.extend([0x5a; 20]);
    file.resize(2 * 146, 0);
    file
}

pub fn run(gate: &mut Gate) -> Verdict {
    fs::write(gate.path("watched"), program())?;
    let file = File::open(gate.path("watched"))?;
    let area = Area::file(1, R, libc::MAP_PRIVATE, &file, 0)?;
    gate.checkpoint()?;
    check_eq("the first bytes", read_once(&file, 4)?, b"\x7fELF".to_vec())?;
    check_eq("a word of the build id", area.word(0) == 0, false)
}
