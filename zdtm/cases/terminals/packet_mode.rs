//! A master in packet mode: data comes with a zero before it, a flush of the slave as a byte of its own.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_terminals::{await_bytes, get, pair, plain, request, set};

/// TIOCPKT_FLUSHREAD.
const FLUSHREAD: u8 = 1;

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    plain(&slave)?;
    set(&master, libc::TIOCPKT, 1)?;
    write_once(&slave, b"data")?;
    await_bytes(&master, 4)?;
    gate.checkpoint()?;
    check_eq("the mode", get(&master, libc::TIOCGPKT)?, 1)?;
    check_eq("what was written", read_once(&master, 100)?, b"\0data".to_vec())?;
    write_once(&slave, b"more")?;
    await_bytes(&master, 4)?;
    check_eq("what is written now", read_once(&master, 100)?, b"\0more".to_vec())?;
    request(&slave, libc::TCFLSH, libc::TCIFLUSH)?;
    check_eq("the flush", read_once(&master, 100)?, vec![FLUSHREAD])
}
