//! A terminal that is nearly full in both directions: it still takes something.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::read_once;
use crate::tools_terminals::{check_queued, fill_up, pair, raw};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::os::fd::OwnedFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    raw(&slave)?;
    for fd in [&master, &slave] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let (mut to_slave, mut to_master) = (fill_up(&master)?, fill_up(&slave)?);
    make_room(&slave, &mut to_slave)?;
    make_room(&master, &mut to_master)?;
    check("much is queued", to_slave.len() > 4096 && to_master.len() > 4096)?;
    gate.checkpoint()?;
    check_queued("the slave", &slave, &to_slave)?;
    check_queued("the master", &master, &to_master)
}

/// Reads 2500 bytes of those that were written.
fn make_room(fd: &OwnedFd, written: &mut Vec<u8>) -> Verdict {
    for _ in 0..5 {
        let read = read_once(fd, 500)?;
        check_eq("what was written first", &written[..read.len()], &read[..])?;
        written.drain(..read.len());
    }
    Ok(())
}
