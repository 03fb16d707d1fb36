//! A session on a virtual console: the settings, the foreground group, and /dev/tty, which leads
//! to it again.
//@ needs: [kernel:vt]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::target;
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_terminals::{change, get, session_on, virtual_console};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::{Pid, getpgrp, setpgid, tcgetpgrp};
use std::path::PathBuf;

pub fn run(gate: &mut Gate) -> Verdict {
    let path = virtual_console(gate)?;
    let ready = shared_word()?;
    let (leader, _) = session_on(gate, &path, |gate, terminal| {
        change(&terminal, |settings| settings.local_flags.remove(LocalFlags::ECHO))?;
        let own = open("/dev/tty", OFlag::O_RDWR | OFlag::O_NONBLOCK, Mode::empty())?;
        let member = gate.fork(|gate| {
            setpgid(Pid::this(), Pid::this())?;
            arrive(ready);
            gate.wait();
            check("it is in the background", tcgetpgrp(&terminal)? != getpgrp())
        })?;
        await_word(ready, 1)?;
        let settings = tcgetattr(&terminal)?;
        arrive(ready);
        gate.wait();
        check_eq("where they lead", [target(&terminal)?, target(&own)?], [&path, "/dev/tty"].map(PathBuf::from))?;
        for fd in [&terminal, &own] {
            check_eq("the session", get(fd, libc::TIOCGSID)?, Pid::this().as_raw())?;
            check_eq("the foreground group", tcgetpgrp(fd)?, getpgrp())?;
            check("the settings are as before", tcgetattr(fd)? == settings)?;
        }
        wait_ok(member)
    })?;
    await_word(ready, 2)?;
    gate.checkpoint()?;
    wait_ok(leader)
}
