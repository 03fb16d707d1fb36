//! A slave that was hung up while its master lives on, as by vhangup(2): it is at its end; who opens the slave anew is not.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_terminals::{events, pair, request, slave};
use nix::errno::Errno;
use nix::poll::PollFlags;

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, old) = pair()?;
    request(&old, libc::TIOCVHANGUP, 0)?;
    let new = slave(&master)?;
    gate.checkpoint()?;
    check_eq("reading the old one", read_once(&old, 10)?, vec![])?;
    check_eq("writing to the old one", nix::unistd::write(&old, b"x"), Err(Errno::EIO))?;
    check_eq("the state of the old one", events(&old)? & PollFlags::POLLHUP, PollFlags::POLLHUP)?;
    check_eq("the state of the new one", events(&new)?, PollFlags::POLLOUT)?;
    write_once(&master, b"x\n")?;
    check_eq("what the new one reads", read_once(&new, 10)?, b"x\n".to_vec())
}
