//! Much is queued in both directions, more than a queue of lines holds.
use crate::gate::{Gate, Verdict, check};
use crate::tools_terminals::{check_queued, fill, pair, raw};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    raw(&slave)?;
    for fd in [&master, &slave] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let (to_slave, to_master) = (fill(&master, 7_000)?, fill(&slave, 7_000)?);
    check("much is queued", to_slave.len() > 4096 && to_master.len() > 4096)?;
    gate.checkpoint()?;
    check_queued("the slave", &slave, &to_slave)?;
    check_queued("the master", &master, &to_master)
}
