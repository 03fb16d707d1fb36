//! What a process wrote to a terminal before it closed it is still read by the master, and what the master wrote meanwhile
//! waits for the next who opens it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_terminals::{await_bytes, pair, plain, slave};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, first) = pair()?;
    plain(&first)?;
    write_once(&first, b"last words")?;
    drop(first);
    write_once(&master, b"a line\n")?;
    await_bytes(&master, 10)?;
    gate.checkpoint()?;
    check_eq("what the master reads", read_once(&master, 100)?, b"last words".to_vec())?;
    check_eq("what it reads then", read_once(&master, 100), Err(Errno::EIO))?;
    let next = slave(&master)?;
    check_eq("what the next one reads", read_once(&next, 100)?, b"a line\n".to_vec())
}
