//! A descriptor of /dev/tty is one of the session's terminal, also in a process that shares it with the leader.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, same_description, target, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_terminals::{get, master, session};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

pub fn run(gate: &mut Gate) -> Verdict {
    let master = master()?;
    let ready = shared_word()?;
    let (leader, _) = session(gate, &master, |gate, terminal| {
        let own = open("/dev/tty", OFlag::O_RDWR | OFlag::O_NONBLOCK, Mode::empty())?;
        let parent = Pid::this();
        let child = gate.fork(|gate| {
            arrive(ready);
            gate.wait();
            check("it is shared", same_description(&own, parent, own.as_raw_fd())?)?;
            check_eq("the session", get(&own, libc::TIOCGSID)?, parent.as_raw())
        })?;
        await_word(ready, 1)?;
        arrive(ready);
        gate.wait();
        check_eq("where it leads", target(&own)?, PathBuf::from("/dev/tty"))?;
        check_eq("the session", get(&own, libc::TIOCGSID)?, Pid::this().as_raw())?;
        await_word(ready, 3)?;
        check_eq("what comes", read_once(&own, 100)?, b"typed\n".to_vec())?;
        drop(terminal);
        wait_ok(child)
    })?;
    await_word(ready, 2)?;
    gate.checkpoint()?;
    write_once(&master, b"typed\n")?;
    arrive(ready);
    wait_ok(leader)
}
