//! A sleep that a stop had already interrupted and the kernel restarted before the dump still ends at its time.
//@ witness: -tasks # the sleeper may end
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_state, await_that, child, outcome};
use crate::tools_threads::timespec;
use std::time::{Duration, Instant};

pub fn run(gate: &mut Gate) -> Verdict {
    let asleep = Word::shared()?;
    let whole = Duration::from_secs(3);
    let start = Instant::now();
    let sleeper = child(gate, |_| {
        let time = timespec(whole);
        asleep.bump();
        let mut left = timespec(whole);
        // The kernel of POWER keeps no trace of the first argument: only the remaining time tells how long to sleep.
        let place = if cfg!(cpu = "ppc64") { &raw mut left } else { std::ptr::null_mut() };
        // SAFETY: both times are valid during the call; elsewhere the remaining time is not asked for.
        let done = unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, place) };
        check_eq("the sleep", outcome(done), (0, 0))?;
        check("the sleep was long enough", start.elapsed() >= whole)
    })?;
    asleep.wait_for(1);
    let path = format!("/proc/{sleeper}/syscall");
    let in_call = |nr: i64| Ok(std::fs::read_to_string(&path)?.starts_with(&format!("{nr} ")));
    await_that("the sleep", || in_call(libc::SYS_nanosleep))?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(sleeper.as_raw(), libc::SIGSTOP) };
    await_state(sleeper, "T")?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(sleeper.as_raw(), libc::SIGCONT) };
    await_that("the restarted sleep", || in_call(libc::SYS_restart_syscall))?;
    gate.checkpoint()?;
    wait_ok(sleeper)
}
