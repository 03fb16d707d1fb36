//! A session with a terminal: its leader, a job in the foreground and one in the background; Ctrl-C finds the right one.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::write_once;
use crate::tools_relatives::{arrive, await_word, shared_word, until};
use crate::tools_terminals::{get, master, session, set};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pause, setpgid};

pub fn run(gate: &mut Gate) -> Verdict {
    let master = master()?;
    let ready = shared_word()?;
    let (leader, _) = session(gate, &master, |gate, terminal| {
        let job = |gate: &mut Gate| {
            let child = gate.fork(|gate| {
                setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
                arrive(ready);
                gate.wait();
                loop {
                    pause();
                }
            })?;
            Verdict::Ok(child)
        };
        let (front, back) = (job(gate)?, job(gate)?);
        await_word(ready, 2)?;
        let mut quiet = SigSet::empty();
        quiet.add(Signal::SIGTTOU);
        quiet.thread_block()?;
        set(&terminal, libc::TIOCSPGRP, front.as_raw())?;
        arrive(ready);
        gate.wait();
        check_eq("the session", get(&terminal, libc::TIOCGSID)?, Pid::this().as_raw())?;
        check_eq("the foreground group", get(&terminal, libc::TIOCGPGRP)?, front.as_raw())?;
        let interrupted = |job| WaitStatus::Signaled(job, Signal::SIGINT, false);
        check_eq("the job in the foreground", waitpid(front, None)?, interrupted(front))?;
        set(&terminal, libc::TIOCSPGRP, back.as_raw())?;
        check_eq("the job in the background", waitpid(back, None)?, interrupted(back))
    })?;
    await_word(ready, 3)?;
    gate.checkpoint()?;
    let front = get(&master, libc::TIOCGPGRP)?;
    write_once(&master, b"\x03")?;
    until("the next job to come to the front", || Ok(get(&master, libc::TIOCGPGRP)? != front))?;
    write_once(&master, b"\x03")?;
    wait_ok(leader)
}
