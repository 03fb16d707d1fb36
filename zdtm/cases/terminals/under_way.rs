//! Terminals under way in the queue of a socket: both sides of one, of which the case has one more of each; a master that only
//! the queue holds and whose slave was never open.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{read_once, same_description, write_once};
use crate::tools_terminals::{get, master, pair, path, plain, set_window, slave, window};
use crate::tools_unix::{receive, send};
use nix::sys::socket::SockType;
use nix::unistd::getpid;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (one, two) = crate::tools_unix::pair(SockType::Stream)?;
    let (shared, terminal) = pair()?;
    plain(&terminal)?;
    write_once(&shared, b"queued\n")?;
    let lonely = master()?;
    set_window(&lonely, [7, 8, 0, 0])?;
    let (number, at) = (get(&lonely, libc::TIOCGPTN)?, path(&lonely)?);
    send(&one, b"terminals", &[&shared, &terminal, &lonely], None)?;
    drop(lonely);
    gate.checkpoint()?;
    let got = receive(&two, 100)?.rights;
    let [other, line, lonely] = &got[..] else { return check("three descriptors came", false) };
    check("the master is the same", same_description(&shared, getpid(), other.as_raw_fd())?)?;
    check("so is the slave", same_description(&terminal, getpid(), line.as_raw_fd())?)?;
    check_eq("what is read", read_once(line, 100)?, b"queued\n".to_vec())?;
    check_eq("the number", (get(lonely, libc::TIOCGPTN)?, path(lonely)?), (number, at))?;
    check_eq("the window", window(lonely)?, [7, 8, 0, 0])?;
    let end = slave(lonely)?;
    write_once(lonely, b"x\n")?;
    check_eq("what is typed", read_once(&end, 10)?, b"x\n".to_vec())
}
