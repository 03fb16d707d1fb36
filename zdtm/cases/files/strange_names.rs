//! Files whose names look deleted, hold newlines, spaces, backslashes or no valid text, open, mapped and as directory.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, stat, target};
use crate::tools_memory::{Area, R, page};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;

const NAMES: [&[u8]; 8] = [
    b"looks (deleted)",
    b"two\nlines",
    b"back\\slash\\012",
    b"\xff\xfe not text",
    b" leading and trailing ",
    b"tab\tand (deleted) \x01",
    b"-D",
    &[b'n'; 255],
];

pub fn run(gate: &mut Gate) -> Verdict {
    let mut all = Vec::new();
    for (n, name) in NAMES.iter().enumerate() {
        let path = gate.dir().join(OsStr::from_bytes(name));
        fs::write(&path, vec![n as u8; page()])?;
        let file = File::open(&path)?;
        let area = Area::file(1, R, libc::MAP_PRIVATE, &file, 0)?;
        all.push((file, area, path));
    }
    let directory = gate.path("a directory (deleted)\n");
    fs::create_dir(&directory)?;
    std::env::set_current_dir(&directory)?;
    gate.checkpoint()?;
    for (n, (file, area, path)) in all.iter().enumerate() {
        check_eq("the path", &target(file)?, path)?;
        check_eq("links", stat(file)?.st_nlink, 1)?;
        check_eq("a byte", read_once(file, 1)?, vec![n as u8])?;
        check_eq("what is mapped", area.word(0), u64::from_ne_bytes([n as u8; 8]))?;
    }
    check_eq("the working directory", std::env::current_dir()?, directory)
}
