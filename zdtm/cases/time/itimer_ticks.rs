//! Interval timers go on ticking at their pace: a real one of 50 ms, and a profiling and a virtual one that count
//! processor time.
//@ witness: -SigBlk -ShdPnd # signals come and go, and the handler runs
use crate::gate::{Gate, Verdict, check};
use crate::tools_signals::{caught, count};
use crate::tools_tasks::await_that;
use crate::tools_timers::set_itimer;
use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

pub fn run(gate: &mut Gate) -> Verdict {
    let signals = [libc::SIGALRM, libc::SIGVTALRM, libc::SIGPROF];
    for signal in signals {
        count(signal, libc::SA_RESTART)?;
    }
    let pace = Duration::from_millis(50);
    for which in [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF] {
        set_itimer(which, pace, pace)?;
    }
    await_that("a tick of the real timer", || Ok(caught(libc::SIGALRM) > 1))?;
    gate.checkpoint()?;
    let (start, before) = (Instant::now(), signals.map(caught));
    // Half a second of this process's time, which takes at least as long on the clock.
    let used = || clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from);
    let until = used()? + pace * 10;
    while used()? < until {}
    let gone = start.elapsed();
    let ticks = [0, 1, 2].map(|i| caught(signals[i]) - before[i]);
    let real = (gone.as_millis() / pace.as_millis()) as u32;
    check(&format!("{} real ticks in {gone:?}", ticks[0]), (real / 2..=real + 2).contains(&ticks[0]) && ticks[0] > 0)?;
    check(&format!("{} ticks of user time", ticks[1]), (1..=12).contains(&ticks[1]))?;
    check(&format!("{} ticks of processor time", ticks[2]), (5..=12).contains(&ticks[2]))
}
