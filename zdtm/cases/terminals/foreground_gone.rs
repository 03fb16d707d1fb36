//! The foreground group of a terminal may have no member any more.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::{arrive, await_word};
use crate::tools_terminals::{get, master, session, set};
use nix::unistd::{Pid, setpgid};
use std::sync::atomic::{AtomicU32, Ordering};

pub fn run(gate: &mut Gate) -> Verdict {
    let master = master()?;
    let group: &AtomicU32 = crate::tools_relatives::shared_word()?;
    let ready = crate::tools_relatives::shared_word()?;
    let (leader, _) = session(gate, &master, |gate, terminal| {
        let job = gate.fork(|_| {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            arrive(ready);
            await_word(ready, 2)
        })?;
        await_word(ready, 1)?;
        set(&terminal, libc::TIOCSPGRP, job.as_raw())?;
        arrive(ready);
        wait_ok(job)?;
        arrive(ready);
        group.store(job.as_raw().cast_unsigned(), Ordering::SeqCst);
        gate.wait();
        await_word(ready, 4)?;
        check_eq("the session", get(&terminal, libc::TIOCGSID)?, Pid::this().as_raw())
    })?;
    await_word(group, 1)?;
    gate.checkpoint()?;
    let now = get(&master, libc::TIOCGPGRP)?;
    check_eq("the foreground group", now.cast_unsigned(), group.load(Ordering::SeqCst))?;
    arrive(ready);
    wait_ok(leader)
}
