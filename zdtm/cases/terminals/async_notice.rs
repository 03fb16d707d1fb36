//! Asynchronous notice of a master: its owner and its signal.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{F_GETSIG, F_SETSIG, fcntl, flags, write_once};
use crate::tools_terminals::pair;
use nix::sys::signal::{SigSet, Signal};

pub fn run(gate: &mut Gate) -> Verdict {
    let (master, slave) = pair()?;
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    signals.thread_block()?;
    let me = nix::unistd::getpid().as_raw();
    fcntl(&master, libc::F_SETOWN, me)?;
    fcntl(&master, F_SETSIG, Signal::SIGUSR1 as i32)?;
    fcntl(&master, libc::F_SETFL, libc::O_ASYNC)?;
    gate.checkpoint()?;
    check("the notice is on", flags(&master)? & libc::O_ASYNC != 0)?;
    check_eq("owner and signal", (fcntl(&master, libc::F_GETOWN, 0)?, fcntl(&master, F_GETSIG, 0)?), (me, 10))?;
    write_once(&slave, b"x")?;
    check_eq("the signal", signals.wait()?, Signal::SIGUSR1)
}
