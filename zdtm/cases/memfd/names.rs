//! Memory files with strange names, with the same name, and one that is called like shared anonymous memory.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::target;
use crate::tools_maps::map_of;
use crate::tools_memfd::{check_content, filled};
use crate::tools_memory::{Area, R};
use std::os::unix::ffi::OsStrExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let long = [b'n'; 249];
    let names: [&[u8]; 10] = [
        b"",
        b"a/b/../c",
        b" (deleted)",
        b"x (deleted) (deleted)",
        b"line\nfeed\ttab\\012",
        b"\xff\xfe\x01",
        b"twice",
        b"twice",
        b"/dev/zero",
        &long,
    ];
    let mut files = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let file = filled(name, format!("file {n}").as_bytes())?;
        // The tools read maps as text.
        let mapped = match std::str::from_utf8(name) {
            Ok(_) => Some(Area::file(1, R, libc::MAP_SHARED, &file, 0)?),
            Err(_) => None,
        };
        files.push((file, mapped));
    }
    let mapped = || files.iter().filter_map(|(_, area)| Some(map_of(area.as_ref()?.at(0)).map(|map| map.name)));
    let before = mapped().collect::<Verdict<Vec<_>>>()?;
    gate.checkpoint()?;
    check_eq("the names of mappings", mapped().collect::<Verdict<Vec<_>>>()?, before)?;
    for (n, (name, (file, _))) in names.iter().zip(&files).enumerate() {
        let link = [b"/memfd:", *name, b" (deleted)"].concat();
        check_eq("the link", target(file)?.as_os_str().as_bytes().to_vec(), link)?;
        check_content("the content", file, format!("file {n}").as_bytes())?;
    }
    Ok(())
}
