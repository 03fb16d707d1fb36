//! Three hundred timers with every second id gone.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_timers::{Notify, Timer, timer_ids};
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let mut timers = Vec::new();
    for i in 0..600 {
        timers.push(Timer::new(libc::CLOCK_MONOTONIC, Notify::Signal(libc::SIGUSR1, i))?);
    }
    for (i, timer) in timers.iter().enumerate() {
        if i % 2 == 0 {
            timer.delete()?;
        } else {
            timer.set(false, Duration::from_secs(10_000), Duration::from_secs(i as u64))?;
        }
    }
    let wanted: Vec<i32> = timers.iter().skip(1).step_by(2).map(|t| t.0).collect();
    check_eq("the ids before", timer_ids()?, wanted.clone())?;
    gate.checkpoint()?;
    check_eq("the ids", timer_ids()?, wanted)?;
    for (i, timer) in timers.into_iter().enumerate().skip(1).step_by(2) {
        let (left, interval) = timer.get()?;
        check_eq("the interval", interval, Duration::from_secs(i as u64))?;
        check("the time left", (9_000..=10_000).contains(&left.as_secs()))?;
    }
    Ok(())
}
