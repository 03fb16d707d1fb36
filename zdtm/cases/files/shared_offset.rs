//! Descriptors that are dups, or inherited by children, share one position and flags; a second open has its own.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{fcntl, flags, position, read_once, same_description};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::unistd::{Pid, Whence, dup, lseek};
use std::fs::File;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    std::fs::write(gate.path("file"), b"0123456789")?;
    let (one, other) = (File::open(gate.path("file"))?, File::open(gate.path("file"))?);
    let twin = dup(&one)?;
    lseek(&other, 5, Whence::SeekSet)?;
    let child = gate.fork(|gate| {
        // The child's own number for the common file differs from the parent's.
        let moved = fcntl(&one, libc::F_DUPFD, 50)?;
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        check_eq("the child's position", position(&one)?, 3)?;
        check_eq("the child reads", read_once(&one, 2)?, b"34".to_vec())?;
        check_eq("nonblock set by the parent", flags(&moved)? & libc::O_NONBLOCK, libc::O_NONBLOCK)?;
        arrive(word);
        await_word(word, 4)
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    check_eq("the parent reads", read_once(&one, 3)?, b"012".to_vec())?;
    check_eq("the position of the dup", position(&twin)?, 3)?;
    check_eq("the position of the second open", position(&other)?, 5)?;
    fcntl(&one, libc::F_SETFL, libc::O_NONBLOCK)?;
    arrive(word);
    await_word(word, 3)?;
    check_eq("the position after the child's read", position(&twin)?, 5)?;
    check_eq("nonblock of the second open", flags(&other)? & libc::O_NONBLOCK, 0)?;
    let me = nix::unistd::getpid();
    let same = |task: Pid, fd: i32| same_description(&one, task, fd);
    let found = (same(me, twin.as_raw_fd())?, same(child, one.as_raw_fd())?, same(child, 50)?);
    check_eq("what is one description with the first", found, (true, true, true))?;
    check("the second open is another description", !same(me, other.as_raw_fd())?)?;
    check("the child's copy of it is one with it", same_description(&other, child, other.as_raw_fd())?)?;
    arrive(word);
    wait_ok(child)
}
