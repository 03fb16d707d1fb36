//! Ends of files that were typed (Ctrl-D) and not read: after a line, after part of one, by itself.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_terminals::{await_bytes, events, pair, plain};
use nix::poll::PollFlags;

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    let alone = pair()?;
    plain(&slave)?;
    plain(&alone.1)?;
    write_once(&master, b"line\npart\x04\x04rest")?;
    await_bytes(&slave, 9)?;
    write_once(&alone.0, b"\x04")?;
    crate::tools_relatives::until("the end to arrive", || Ok(events(&alone.1)?.contains(PollFlags::POLLIN)))?;
    gate.checkpoint()?;
    for read in [&b"line\n"[..], b"part", b""] {
        check_eq("what comes", read_once(&slave, 100)?, read.to_vec())?;
    }
    write_once(&master, b"!\n")?;
    check_eq("the rest", read_once(&slave, 100)?, b"rest!\n".to_vec())?;
    check_eq("the state", events(&alone.1)? & PollFlags::POLLIN, PollFlags::POLLIN)?;
    check_eq("the end alone", read_once(&alone.1, 100)?, vec![])?;
    check_eq("the state after it", events(&alone.1)? & PollFlags::POLLIN, PollFlags::empty())
}
