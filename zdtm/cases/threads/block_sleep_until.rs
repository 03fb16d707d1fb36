//! Sleeps until a point in time on three clocks end at that point in time, however long the process was gone.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_threads::{Call, timespec};
use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut calls = Vec::new();
    for clock in [ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_REALTIME, ClockId::CLOCK_BOOTTIME] {
        let end = Duration::from(clock_gettime(clock)?) + Duration::from_secs(2);
        let time = timespec(end);
        calls.push(Call::start(libc::SYS_clock_nanosleep, move || {
            // SAFETY: the time is valid during the call; no remaining time is asked for.
            let done =
                unsafe { libc::clock_nanosleep(clock.as_raw(), libc::TIMER_ABSTIME, &time, std::ptr::null_mut()) };
            clock_gettime(clock).map(|now| (done, Duration::from(now), end))
        })?);
    }
    gate.checkpoint()?;
    let opened = Instant::now();
    for call in calls {
        let (done, now, end) = call.result()??;
        check_eq("the sleep", done, 0)?;
        check("the sleep did not end early", now >= end)?;
    }
    check("the sleeps did not start anew", opened.elapsed() < Duration::from_secs(6))
}
