//! A session has a terminal that none of its processes has open; /dev/tty leads to it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, write_once};
use crate::tools_relatives::{arrive, await_call};
use crate::tools_terminals::{get, master, session};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

pub fn run(gate: &mut Gate) -> Verdict {
    let master = master()?;
    let (leader, word) = session(gate, &master, |gate, terminal| {
        drop(terminal);
        gate.wait();
        let terminal = open("/dev/tty", OFlag::O_RDWR, Mode::empty())?;
        check_eq("the session", get(&terminal, libc::TIOCGSID)?, Pid::this().as_raw())?;
        check_eq("what comes", read_once(&terminal, 100)?, b"typed\n".to_vec())
    })?;
    // A moment for the child to close its descriptor.
    await_call(leader, libc::SYS_futex)?;
    gate.checkpoint()?;
    check_eq("the session of the terminal", get(&master, libc::TIOCGSID)?, leader.as_raw())?;
    write_once(&master, b"typed\n")?;
    arrive(word);
    wait_ok(leader)
}
