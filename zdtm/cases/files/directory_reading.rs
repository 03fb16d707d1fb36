//! A directory in the middle of being read goes on there: no entry is missing, none comes twice.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::position;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd;

/// Names from one getdents64 call with a small buffer.
fn some_entries(directory: &File) -> Verdict<Vec<String>> {
    let mut buffer = [0u8; 256];
    // SAFETY: the buffer has the length given.
    let got = unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
    let mut rest = &buffer[..Errno::result(got)? as usize];
    let mut names = Vec::new();
    // struct linux_dirent64: inode and offset (8 bytes each), length (2), type (1), name.
    while rest.len() > 19 {
        let length = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
        let name: Vec<u8> = rest[19..length].iter().copied().take_while(|b| *b != 0).collect();
        names.push(String::from_utf8(name)?);
        rest = &rest[length..];
    }
    Ok(names)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("directory");
    fs::create_dir(&path)?;
    let all: BTreeSet<String> = (0..60).map(|n| format!("entry-{n}")).collect();
    for name in &all {
        fs::write(path.join(name), b"")?;
    }
    let directory = File::open(&path)?;
    let mut seen = some_entries(&directory)?;
    seen.extend(some_entries(&directory)?);
    let at = position(&directory)?;
    check("some entries are still to come", seen.len() < 60)?;
    gate.checkpoint()?;
    check_eq("the position", position(&directory)?, at)?;
    loop {
        let more = some_entries(&directory)?;
        if more.is_empty() {
            break;
        }
        seen.extend(more);
    }
    check_eq("the number of entries", seen.len(), 62)?;
    seen.retain(|n| n != "." && n != "..");
    check_eq("the entries", seen.into_iter().collect::<BTreeSet<_>>(), all)
}
