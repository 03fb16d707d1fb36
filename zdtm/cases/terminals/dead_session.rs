//! The leader of a session has ended: those who are left have its terminal open and control it no more; another session
//! can have it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, write_once};
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_terminals::{get, master, path, session};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

pub fn run(gate: &mut Gate) -> Verdict {
    let master = master()?;
    let word = shared_word()?;
    set_child_subreaper(true)?;
    // SAFETY: no handler runs.
    unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn)? };
    let (leader, _) = session(gate, &master, |gate, terminal| {
        gate.fork(|gate| {
            gate.wait();
            check_eq("what comes", read_once(&terminal, 10)?, b"typed\n".to_vec())?;
            let own = open("/dev/tty", OFlag::O_RDWR, Mode::empty());
            check_eq("opening /dev/tty", own.err(), Some(Errno::ENXIO))?;
            arrive(word);
            Ok(())
        })
        .map(drop)
    })?;
    wait_ok(leader)?;
    gate.checkpoint()?;
    write_once(&master, b"typed\n")?;
    await_word(word, 1)?;
    check_eq("the session of the terminal", get(&master, libc::TIOCGSID), Err(Errno::ENOTTY))?;
    let path = path(&master)?;
    let next = gate.fork(|_| {
        nix::unistd::setsid()?;
        let terminal = open(path.as_str(), OFlag::O_RDWR, Mode::empty())?;
        check_eq("the next session", get(&terminal, libc::TIOCGSID)?, Pid::this().as_raw())?;
        write_once(&terminal, b"x")
    })?;
    wait_ok(next)?;
    let orphan = nix::sys::wait::waitpid(None, None)?;
    check_eq("the orphan's status", matches!(orphan, nix::sys::wait::WaitStatus::Exited(_, 0)), true)
}
