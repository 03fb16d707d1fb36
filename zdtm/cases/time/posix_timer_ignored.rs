//! A repeating timer whose signal is ignored stays armed, and is heard again when the signal is caught.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::{caught, count, dispose};
use crate::tools_tasks::await_that;
use crate::tools_timers::{Notify, Timer};
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    dispose(libc::SIGUSR1, libc::SIG_IGN)?;
    let timer = Timer::new(libc::CLOCK_MONOTONIC, Notify::Signal(libc::SIGUSR1, 1))?;
    let pace = Duration::from_millis(20);
    timer.set(false, pace, pace)?;
    std::thread::sleep(pace * 3);
    gate.checkpoint()?;
    let (left, interval) = timer.get()?;
    check_eq("the interval", interval, pace)?;
    check("the timer is armed", !left.is_zero() && left <= pace)?;
    count(libc::SIGUSR1, libc::SA_RESTART)?;
    await_that("the timer's signals", || Ok(caught(libc::SIGUSR1) >= 3))
}
