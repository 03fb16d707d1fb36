//! Much is queued in both directions, more than a queue of lines holds.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::read_once;
use crate::tools_terminals::{pair, raw};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::write;
use std::os::fd::OwnedFd;

fn fill(fd: &OwnedFd) -> Verdict<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < 7_000 {
        let piece: Vec<u8> = (0..500).map(|n| ((all.len() + n) % 251) as u8).collect();
        match write(fd, &piece) {
            Ok(written) => all.extend(&piece[..written]),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(all)
}

fn drain(fd: &OwnedFd) -> Verdict<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match read_once(fd, 1000) {
            Ok(piece) if piece.is_empty() => return Ok(all),
            Ok(piece) => all.extend(piece),
            Err(Errno::EAGAIN) => return Ok(all),
            Err(e) => return Err(e.into()),
        }
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    raw(&slave)?;
    for fd in [&master, &slave] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let (to_slave, to_master) = (fill(&master)?, fill(&slave)?);
    check("much is queued", to_slave.len() > 4096 && to_master.len() > 4096)?;
    gate.checkpoint()?;
    let (at_slave, at_master) = (drain(&slave)?, drain(&master)?);
    check_eq("bytes at the slave", at_slave.len(), to_slave.len())?;
    check("they are those that were written", at_slave == to_slave)?;
    check_eq("bytes at the master", at_master.len(), to_master.len())?;
    check("they are those that were written", at_master == to_master)
}
