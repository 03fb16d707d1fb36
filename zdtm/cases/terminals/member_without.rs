//! Processes of a session that have no terminal though its leader has: one gave it up, one was born before.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_terminals::{get, master, path, request};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, setsid};

fn own() -> Result<(), Errno> {
    open("/dev/tty", OFlag::O_RDWR | OFlag::O_NOCTTY, Mode::empty()).map(drop)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let master = master()?;
    let (word, path) = (shared_word()?, path(&master)?);
    let leader = gate.fork(|gate| {
        setsid()?;
        let without = |gate: &mut Gate| {
            gate.wait();
            check_eq("a process without a terminal", own(), Err(Errno::ENXIO))
        };
        let before = gate.fork(|gate| without(gate))?;
        let terminal = open(path.as_str(), OFlag::O_RDWR, Mode::empty())?;
        let gave_up = gate.fork(|gate| {
            request(&terminal, libc::TIOCNOTTY, 0)?;
            arrive(word);
            without(gate)
        })?;
        let with = gate.fork(|gate| {
            gate.wait();
            check_eq("a process with the terminal", own(), Ok(()))
        })?;
        await_word(word, 1)?;
        arrive(word);
        gate.wait();
        check_eq("the session", get(&terminal, libc::TIOCGSID)?, Pid::this().as_raw())?;
        [before, gave_up, with].into_iter().try_for_each(wait_ok)
    })?;
    await_word(word, 2)?;
    gate.checkpoint()?;
    wait_ok(leader)
}
