//! A task that asked for a signal at its parent's death gets it when the parent dies after the restore.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{change_mask, mask, take};
use crate::tools_tasks::{Word, child, must, prctl};
use nix::unistd::Pid;
use std::time::Duration;

fn death_signal() -> i32 {
    let mut signal: i32 = -1;
    // SAFETY: the kernel writes one int to `signal`.
    unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) };
    signal
}

pub fn run(gate: &mut Gate) -> Verdict {
    must("PR_SET_CHILD_SUBREAPER", prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    let (arrived, pid) = (Word::shared()?, Word::shared()?);
    let wanted = libc::SIGRTMIN() + 5;
    let middle = child(gate, |gate| {
        let mourner = gate.fork(|_| {
            change_mask(libc::SIG_BLOCK, mask(&[wanted]));
            must("PR_SET_PDEATHSIG", prctl(libc::PR_SET_PDEATHSIG, wanted as u64))?;
            arrived.bump();
            let info = take(mask(&[wanted]), Duration::from_secs(1000))?;
            check_eq("the signal", info.map(|i| i.i32(0)), Some(wanted))?;
            check_eq("PR_GET_PDEATHSIG", death_signal(), wanted)
        })?;
        pid.set(mourner.as_raw() as u32);
        gate.wait();
        Ok(())
    })?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    wait_ok(middle)?;
    wait_ok(Pid::from_raw(pid.get() as i32))
}
