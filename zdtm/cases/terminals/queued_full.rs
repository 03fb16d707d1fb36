//! A terminal that takes no more is refused, and keeps every byte.
//@ dump-fails: so much is queued in it that it takes no more
//@ unseen: nobody looks into a terminal that is in use
use crate::gate::{Gate, Verdict, check};
use crate::tools_terminals::{check_queued, fill_up, pair, raw};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    raw(&slave)?;
    for fd in [&master, &slave] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let (to_slave, to_master) = (fill_up(&master)?, fill_up(&slave)?);
    check("much is queued", to_slave.len() > 4096 && to_master.len() > 4096)?;
    gate.checkpoint()?;
    check_queued("the slave", &slave, &to_slave)?;
    check_queued("the master", &master, &to_master)
}
