//! A master whose slave was open and is closed: it is hung up until somebody opens the slave again.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_terminals::{events, pair, slave};
use nix::errno::Errno;
use nix::poll::PollFlags;

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, closed) = pair()?;
    drop(closed);
    gate.checkpoint()?;
    check_eq("reading the master", read_once(&master, 1), Err(Errno::EIO))?;
    check_eq("the state", events(&master)? & PollFlags::POLLHUP, PollFlags::POLLHUP)?;
    let again = slave(&master)?;
    check_eq("the state with a slave", events(&master)?, PollFlags::POLLOUT)?;
    write_once(&again, b"x")?;
    check_eq("what the master reads", read_once(&master, 10)?, b"x".to_vec())
}
