//! POSIX timers keep their ids, with gaps, their clocks, notifications, intervals and the time left, armed and disarmed.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_timers::{Notify, Timer, timer_ids};
use std::time::Duration;

/// What /proc tells of the timers besides their ids: signal with value, notification with task, clock.
fn described() -> Verdict<String> {
    let text = std::fs::read_to_string("/proc/self/timers")?;
    check("a description of timers", text.contains("ClockID: "))?;
    Ok(text)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let clocks = [
        libc::CLOCK_MONOTONIC,
        libc::CLOCK_REALTIME,
        libc::CLOCK_BOOTTIME,
        libc::CLOCK_TAI,
        libc::CLOCK_PROCESS_CPUTIME_ID,
        libc::CLOCK_THREAD_CPUTIME_ID,
    ];
    let mut timers = Vec::new();
    for (i, clock) in clocks.into_iter().enumerate() {
        let tid = crate::tools_tasks::gettid();
        let value = 0xfeed_0000_0000_0000 + i as u64;
        for notify in
            [Notify::None, Notify::Signal(libc::SIGRTMIN() + 1, value), Notify::Thread(libc::SIGUSR1, value, tid)]
        {
            timers.push(Timer::new(clock, notify)?);
        }
    }
    for (i, timer) in timers.iter().enumerate() {
        match i % 4 {
            0 => timer.set(false, Duration::new(1000 + i as u64, 500), Duration::ZERO)?,
            1 => timer.set(false, Duration::from_secs(2000), Duration::new(i as u64, 123_456_789))?,
            2 => timer.set(false, Duration::from_secs(1 << 32), Duration::from_nanos(1))?,
            _ => {}
        }
    }
    // Ids of timers that are gone are not given to others.
    for gone in [0, 3, 7, 16] {
        timers[gone].delete()?;
    }
    let ids = timer_ids()?;
    let before: Vec<_> = ids.iter().map(|id| Timer(*id).get()).collect::<Verdict<_>>()?;
    check_eq("the number of timers", before.len(), timers.len() - 4)?;
    let text = described()?;
    gate.checkpoint()?;
    check_eq("the ids", timer_ids()?, ids.clone())?;
    check_eq("signals, notifications and clocks", described()?, text)?;
    for (id, before) in ids.into_iter().zip(before) {
        let now = Timer(id).get()?;
        check_eq(&format!("the interval of timer {id}"), now.1, before.1)?;
        check_eq(&format!("whether timer {id} is armed"), now.0.is_zero(), before.0.is_zero())?;
        let left = now.0..=now.0 + Duration::from_secs(200);
        check(&format!("timer {id} went from {:?} to {:?}", before.0, now.0), left.contains(&before.0))?;
        Timer(id).delete()?;
    }
    check_eq("timers left", timer_ids()?, Vec::new())
}
