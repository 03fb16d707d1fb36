//! A deleted file opened by two tasks on their own, and again through /proc, is still one file with three positions.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{flags, position, read_once, stat, write_once};
use crate::tools_memory::Area;
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (word, inode) = (shared_word()?, Area::shared(1)?);
    fs::write(gate.path("common"), b"0123456789")?;
    let path = gate.path("common");
    let child = gate.fork(|gate| {
        let own = File::options().append(true).read(true).open(&path)?;
        lseek(&own, 2, Whence::SeekSet)?;
        arrive(word);
        gate.wait();
        check_eq("the child's position", position(&own)?, 2)?;
        write_once(&own, b"+")?;
        inode.set(0, stat(&own)?.st_ino);
        arrive(word);
        Ok(())
    })?;
    await_word(word, 1)?;
    let first = File::open(&path)?;
    fs::remove_file(&path)?;
    let again = File::options().write(true).open(format!("/proc/self/fd/{}", first.as_raw_fd()))?;
    lseek(&first, 5, Whence::SeekSet)?;
    lseek(&again, 7, Whence::SeekSet)?;
    gate.checkpoint()?;
    await_word(word, 2)?;
    wait_ok(child)?;
    check_eq("the inodes", (stat(&first)?.st_ino, stat(&again)?.st_ino), (inode.word(0), inode.word(0)))?;
    check_eq("the access modes", (flags(&first)? & 3, flags(&again)? & 3), (libc::O_RDONLY, libc::O_WRONLY))?;
    write_once(&again, b"seven")?;
    check_eq("the positions", (position(&first)?, position(&again)?), (5, 12))?;
    check_eq("the rest", read_once(&first, 20)?, b"56seven".to_vec())?;
    lseek(&first, 0, Whence::SeekSet)?;
    check_eq("all of it", read_once(&first, 20)?, b"0123456seven".to_vec())
}
