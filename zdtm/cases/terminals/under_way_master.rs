//! A master that only the queue of a socket holds is refused, as nobody can be asked what is queued in the terminal.
//@ dump-fails: something may be queued in that terminal
//@ unseen: nobody looks into a terminal that is in use
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{read_once, write_once};
use crate::tools_terminals::{pair, plain};
use crate::tools_unix::{receive, send};
use nix::sys::socket::SockType;

pub fn run(gate: &mut Gate) -> Verdict {
    let (one, two) = crate::tools_unix::pair(SockType::Stream)?;
    let (master, slave) = pair()?;
    plain(&slave)?;
    write_once(&master, b"queued\n")?;
    send(&one, b"master", &[&master], None)?;
    drop(master);
    gate.checkpoint()?;
    let got = receive(&two, 100)?.rights;
    let [master] = &got[..] else { return check("one descriptor came", false) };
    check_eq("what is read", read_once(&slave, 100)?, b"queued\n".to_vec())?;
    write_once(master, b"x\n")?;
    check_eq("what is typed", read_once(&slave, 10)?, b"x\n".to_vec())
}
