//! Output that was stopped, by Ctrl-S or by the process, stays so until it is started; what was written before is read.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_relatives::until;
use crate::tools_terminals::{await_bytes, events, pair, plain, request};
use nix::poll::PollFlags;

pub fn run(gate: &mut Gate) -> Verdict {
    let (typed, called) = (pair()?, pair()?);
    for (master, slave) in [&typed, &called] {
        plain(slave)?;
        write_once(slave, b"before")?;
        await_bytes(master, 6)?;
    }
    write_once(&typed.0, b"\x13")?;
    until("the output to stop", || Ok(!events(&typed.1)?.contains(PollFlags::POLLOUT)))?;
    crate::tools_terminals::change(&called.1, |settings| {
        settings.input_flags.remove(nix::sys::termios::InputFlags::IXON);
    })?;
    request(&called.1, libc::TCXONC, libc::TCOOFF)?;
    gate.checkpoint()?;
    for (master, slave) in [&typed, &called] {
        check_eq("whether it takes output", events(slave)? & PollFlags::POLLOUT, PollFlags::empty())?;
        check_eq("what was written", read_once(master, 100)?, b"before".to_vec())?;
    }
    write_once(&typed.0, b"\x11")?;
    request(&called.1, libc::TCXONC, libc::TCOON)?;
    for (master, slave) in [&typed, &called] {
        until("the output to go on", || Ok(events(slave)?.contains(PollFlags::POLLOUT)))?;
        write_once(slave, b"after")?;
        await_bytes(master, 5)?;
        check_eq("what is written now", read_once(master, 100)?, b"after".to_vec())?;
    }
    Ok(())
}
