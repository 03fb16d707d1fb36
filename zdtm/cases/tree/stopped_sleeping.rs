//! A task stopped in the middle of a nanosleep sleeps on when SIGCONT comes: the sleep ends without error and not early.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_state, await_that, child, outcome};
use std::time::{Duration, Instant};

pub fn run(gate: &mut Gate) -> Verdict {
    let asleep = Word::shared()?;
    let sleeper = child(gate, |_| {
        let time = libc::timespec { tv_sec: 1, tv_nsec: 500_000_000 };
        let start = Instant::now();
        asleep.bump();
        // SAFETY: `time` is valid; no remaining time is asked for.
        let done = outcome(unsafe { libc::nanosleep(&time, std::ptr::null_mut()) });
        check_eq("the sleep's result", done, (0, 0))?;
        check("the sleep was long enough", start.elapsed() >= Duration::from_millis(1500))
    })?;
    asleep.wait_for(1);
    let path = format!("/proc/{sleeper}/syscall");
    await_that("the sleep", || {
        Ok(std::fs::read_to_string(&path)?.starts_with(&format!("{} ", libc::SYS_clock_nanosleep)))
    })?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(sleeper.as_raw(), libc::SIGSTOP) };
    await_state(sleeper, "T")?;
    gate.checkpoint()?;
    await_state(sleeper, "T")?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(sleeper.as_raw(), libc::SIGCONT) };
    wait_ok(sleeper)
}
