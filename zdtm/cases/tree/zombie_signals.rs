//! Zombies keep the signal that killed them, a real-time one too.
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_tasks::{await_state, child, must, peek_end, prctl, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut zombies = Vec::new();
    let signals = [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV, libc::SIGXCPU, libc::SIGTRAP, libc::SIGRTMIN() + 3];
    for signal in signals {
        let zombie = child(gate, |_| {
            // No core dump: whether there was one is in the status, and no interface can set it again.
            must("PR_SET_DUMPABLE", prctl(libc::PR_SET_DUMPABLE, 0))?;
            // SAFETY: the calls take numbers only.
            unsafe { libc::kill(libc::getpid(), signal) };
            fail("the signal did not kill")
        })?;
        await_state(zombie, "Z")?;
        zombies.push((zombie, signal));
    }
    gate.checkpoint()?;
    for (zombie, signal) in zombies {
        check_eq("the end as waitid tells it", peek_end(zombie)?, (libc::CLD_KILLED, signal, 0))?;
        let pid = zombie.as_raw();
        check_eq("the status", wait_status(pid, 0), (i64::from(pid), signal))?;
    }
    Ok(())
}
