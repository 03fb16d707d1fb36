//! A memory file keeps its content, which ends within a page, its position, flags and owner.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{F_GETSIG, F_SETSIG, fcntl, flags, position, read_once, target, write_once};
use crate::tools_memfd::{check_content, filled, memfd};
use nix::unistd::{Whence, lseek};
use std::os::unix::fs::FileExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let content: Vec<u8> = (0..100_001u32).map(|n| (n % 251) as u8).collect();
    let (file, empty) = (filled(b"zdtm", &content)?, memfd(b"empty", libc::MFD_CLOEXEC)?);
    lseek(&file, 77, Whence::SeekSet)?;
    lseek(&empty, 1 << 40, Whence::SeekSet)?;
    fcntl(&file, libc::F_SETFL, libc::O_APPEND | libc::O_NONBLOCK)?;
    fcntl(&file, libc::F_SETOWN, nix::unistd::getpid().as_raw())?;
    fcntl(&file, F_SETSIG, 40)?;
    let before = flags(&file)?;
    gate.checkpoint()?;
    check_eq("the link", target(&file)?.to_string_lossy().into_owned(), "/memfd:zdtm (deleted)".to_owned())?;
    check_eq("the flags", flags(&file)?, before)?;
    check_eq("the owner", fcntl(&file, libc::F_GETOWN, 0)?, nix::unistd::getpid().as_raw())?;
    check_eq("the signal", fcntl(&file, F_GETSIG, 0)?, 40)?;
    check_eq("positions", (position(&file)?, position(&empty)?), (77, 1 << 40))?;
    check_content("the content", &file, &content)?;
    check_eq("what is read on", read_once(&file, 3)?, content[77..80].to_vec())?;
    check_eq("the empty file's size", empty.metadata()?.len(), 0)?;
    write_once(&file, b"more")?;
    let mut end = [0; 4];
    file.read_exact_at(&mut end, 100_001)?;
    check_eq("what was appended", end, *b"more")
}
