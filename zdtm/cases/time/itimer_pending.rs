//! A real interval timer that has run out while its signal is blocked stands still until the signal is taken; then it
//! goes on ticking.
use crate::gate::{Gate, Verdict, check};
use crate::tools_signals::{caught, count};
use crate::tools_tasks::await_that;
use crate::tools_timers::set_itimer;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    count(libc::SIGALRM, libc::SA_RESTART)?;
    let alarm = SigSet::from(Signal::SIGALRM);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&alarm), None)?;
    let pace = Duration::from_millis(20);
    set_itimer(libc::ITIMER_REAL, pace, pace)?;
    await_that("the pending signal of the timer", || Ok(pending()?.contains(Signal::SIGALRM)))?;
    gate.checkpoint()?;
    check("the signal is still pending", pending()?.contains(Signal::SIGALRM))?;
    check("it was not taken", caught(libc::SIGALRM) == 0)?;
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&alarm), None)?;
    await_that("a tick after the pending one", || Ok(caught(libc::SIGALRM) > 3))
}

fn pending() -> Verdict<SigSet> {
    let mut set = SigSet::empty();
    // SAFETY: the kernel writes one signal set.
    nix::errno::Errno::result(unsafe { libc::sigpending((&raw mut set).cast()) })?;
    Ok(set)
}
