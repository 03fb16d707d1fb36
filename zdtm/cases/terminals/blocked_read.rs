//! Processes that wait for a terminal, at both sides, go on waiting and get what comes.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, write_once};
use crate::tools_relatives::await_call;
use crate::tools_terminals::{pair, plain};

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    plain(&slave)?;
    let at_slave = gate.fork(|_| check_eq("what the slave reads", read_once(&slave, 100)?, b"typed\n".to_vec()))?;
    let at_master = gate.fork(|_| check_eq("what the master reads", read_once(&master, 100)?, b"shown".to_vec()))?;
    await_call(at_slave, libc::SYS_read)?;
    await_call(at_master, libc::SYS_read)?;
    gate.checkpoint()?;
    write_once(&master, b"typed\n")?;
    write_once(&slave, b"shown")?;
    wait_ok(at_slave)?;
    wait_ok(at_master)
}
