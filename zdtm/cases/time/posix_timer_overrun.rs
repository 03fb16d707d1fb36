//! A repeating timer whose signal is pending and blocked: there is one signal, not one for each time; when it is taken,
//! it tells how often the timer ran out meanwhile, and the timer goes on.
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools_signals::{change_mask, mask, pending, take, take_now};
use crate::tools_tasks::await_that;
use crate::tools_timers::{Notify, Timer};
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let signal = libc::SIGRTMIN() + 7;
    let set = mask(&[signal]);
    change_mask(libc::SIG_BLOCK, set);
    let timer = Timer::new(libc::CLOCK_MONOTONIC, Notify::Signal(signal, 0x1234_5678_9abc))?;
    let pace = Duration::from_millis(100);
    timer.set(false, pace, pace)?;
    await_that("the timer's signal", || Ok(pending() == set))?;
    gate.checkpoint()?;
    std::thread::sleep(pace * 6);
    let Some(info) = take_now(set)? else { return fail("no signal of the timer is pending") };
    // Taken at once: the next time the timer runs out is still to come, except by a rare chance.
    let second = take_now(set)?;
    let shown = (info.i32(8), info.i32(16), info.value());
    check_eq("code, timer id, value", shown, (libc::SI_TIMER, timer.0, 0x1234_5678_9abc))?;
    check_eq("a second signal", second, None)?;
    let overrun = info.i32(20);
    check(&format!("{overrun} times more than the one told, in six periods"), overrun >= 4)?;
    // SAFETY: the call takes a number only.
    let told = unsafe { libc::syscall(libc::SYS_timer_getoverrun, timer.0) };
    check_eq("timer_getoverrun", told, i64::from(overrun))?;
    check("the timer goes on", take(set, Duration::from_secs(20))?.is_some())?;
    check_eq("the interval", timer.get()?.1, pace)
}
