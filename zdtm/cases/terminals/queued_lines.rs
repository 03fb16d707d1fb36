//! Lines that were typed and not read, and one that is not complete: each read still gets one line, and the last can go on.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_terminals::{await_bytes, events, get, pair, plain};
use nix::poll::PollFlags;

pub fn run(gate: &mut Gate) -> Verdict {
    let (lines, part) = (pair()?, pair()?);
    plain(&lines.1)?;
    plain(&part.1)?;
    write_once(&lines.0, b"one\ntwo\n\nunder w")?;
    await_bytes(&lines.1, 9)?;
    write_once(&part.0, b"under w")?;
    gate.checkpoint()?;
    check_eq("bytes of whole lines", get(&lines.1, libc::FIONREAD)?, 9)?;
    check_eq("bytes where there is none", get(&part.1, libc::FIONREAD)?, 0)?;
    check_eq("the state where there is none", events(&part.1)? & PollFlags::POLLIN, PollFlags::empty())?;
    for line in [&b"one\n"[..], b"two\n", b"\n"] {
        check_eq("a line", read_once(&lines.1, 100)?, line.to_vec())?;
    }
    for (master, slave) in [lines, part] {
        // The last character is taken back.
        write_once(&master, b"x\x7fay\n")?;
        check_eq("the line that went on", read_once(&slave, 100)?, b"under way\n".to_vec())?;
        check_eq("what the master reads", get(&master, libc::FIONREAD)?, 0)?;
    }
    Ok(())
}
