//! A slave whose master was closed is hung up: its number is taken until it is closed, too.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, target, write_once};
use crate::tools_terminals::{events, get, pair, slave};
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::termios::tcgetattr;
use std::path::PathBuf;

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, first) = pair()?;
    let second = slave(&master)?;
    let other = pair()?;
    drop(master);
    gate.checkpoint()?;
    for slave in [&first, &second] {
        check_eq("reading it", read_once(slave, 10)?, vec![])?;
        check_eq("writing to it", nix::unistd::write(slave, b"x"), Err(Errno::EIO))?;
        check_eq("its settings", tcgetattr(slave).err(), Some(Errno::EIO))?;
        check_eq("its state", events(slave)? & PollFlags::POLLHUP, PollFlags::POLLHUP)?;
        check_eq("where it leads", target(slave)?, PathBuf::from("/dev/pts/0 (deleted)"))?;
    }
    let next = pair()?;
    check_eq("the next number", get(&next.0, libc::TIOCGPTN)?, 2)?;
    drop((first, second));
    let next = pair()?;
    check_eq("the number that is free now", get(&next.0, libc::TIOCGPTN)?, 0)?;
    write_once(&other.0, b"x\n")?;
    check_eq("what the other terminal reads", read_once(&other.1, 10)?, b"x\n".to_vec())
}
