//! Timers set to a point in time run out at that point, on the real-time and on the monotonic clock.
//@ witness: -SigPnd -ShdPnd # timers run out meanwhile
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools_signals::{change_mask, mask, take};
use crate::tools_timers::{Notify, Timer};
use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

pub fn run(gate: &mut Gate) -> Verdict {
    let clocks = [ClockId::CLOCK_REALTIME, ClockId::CLOCK_MONOTONIC];
    let signals = [libc::SIGRTMIN(), libc::SIGRTMIN() + 1];
    change_mask(libc::SIG_BLOCK, mask(&signals));
    let mut ends = Vec::new();
    for (clock, signal) in clocks.into_iter().zip(signals) {
        let end = Duration::from(clock_gettime(clock)?) + Duration::from_secs(2);
        let timer = Timer::new(clock.as_raw(), Notify::Signal(signal, 5))?;
        timer.set(true, end, Duration::ZERO)?;
        ends.push((clock, signal, end, timer));
    }
    gate.checkpoint()?;
    let opened = Instant::now();
    for (clock, signal, end, timer) in ends {
        let Some(info) = take(mask(&[signal]), Duration::from_secs(20))? else {
            return fail("the timer did not run out");
        };
        check("the timer did not run out early", Duration::from(clock_gettime(clock)?) >= end)?;
        check_eq("timer id, value", (info.i32(16), info.value()), (timer.0, 5))?;
        check_eq("the timer afterwards", timer.get()?.0, Duration::ZERO)?;
    }
    check("the timers did not start anew", opened.elapsed() < Duration::from_secs(6))
}
