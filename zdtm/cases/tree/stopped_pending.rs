//! Signals that came while a task was stopped stay pending, and its handlers run when SIGCONT comes, not before.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::{status_field, wait_ok};
use crate::tools_signals::{caught, count, mask};
use crate::tools_tasks::{Word, await_state, await_that, child, task_state};

pub fn run(gate: &mut Gate) -> Verdict {
    let ready = Word::shared()?;
    let stopped = child(gate, |_| {
        let signals = [libc::SIGUSR1, libc::SIGTERM, libc::SIGRTMIN()];
        for signal in signals {
            count(signal, 0)?;
        }
        ready.bump();
        await_that("the signals", || Ok(signals.map(caught) == [1, 1, 3]))
    })?;
    ready.wait_for(1);
    let raw = stopped.as_raw();
    let rt = libc::SIGRTMIN();
    // SAFETY: the calls take numbers only.
    unsafe { libc::kill(raw, libc::SIGSTOP) };
    await_state(stopped, "T")?;
    for signal in [libc::SIGUSR1, libc::SIGTERM, rt, rt, rt] {
        // SAFETY: the call takes numbers only.
        unsafe { libc::kill(raw, signal) };
    }
    gate.checkpoint()?;
    check_eq("the child's state", task_state(stopped)?, "T".to_owned())?;
    let wanted = format!("{:016x}", mask(&[libc::SIGUSR1, libc::SIGTERM, rt]));
    check_eq("the pending signals", status_field(&raw.to_string(), "ShdPnd")?, wanted)?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(raw, libc::SIGCONT) };
    wait_ok(stopped)
}
