//! Timer descriptors set to a moment of a clock expire at that moment, not earlier and not later by the time between dump
//! and restore; the flags they were set with stay, also of one whose moment has passed.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{clock, just_passed, set_timer, timerfd};
use crate::tools_files::{fdinfo, read_once};
use std::time::{Duration, Instant};

pub fn run(gate: &mut Gate) -> Verdict {
    let absolute = libc::TFD_TIMER_ABSTIME;
    let since = Instant::now();
    let mut timers = Vec::new();
    for (id, flags) in [
        (libc::CLOCK_MONOTONIC, absolute),
        (libc::CLOCK_BOOTTIME, absolute),
        (libc::CLOCK_REALTIME, absolute | libc::TFD_TIMER_CANCEL_ON_SET),
    ] {
        let (fd, moment) = (timerfd(id, 0)?, clock(id)? + Duration::from_secs(1));
        set_timer(&fd, flags, moment, Duration::ZERO)?;
        timers.push((fd, id, flags, moment));
    }
    let passed = timerfd(libc::CLOCK_MONOTONIC, 0)?;
    set_timer(&passed, absolute, Duration::new(0, 1), Duration::ZERO)?;
    gate.checkpoint()?;
    for (fd, id, flags, moment) in &timers {
        check_eq("the flags", fdinfo(fd, "settime flags")?, format!("0{flags:o}"))?;
        check_eq("the expirations", read_once(fd, 8)?, 1u64.to_ne_bytes().to_vec())?;
        just_passed(&format!("clock {id}"), *id, *moment, since)?;
    }
    check_eq("the flags of the one that has passed", fdinfo(&passed, "settime flags")?, format!("0{absolute:o}"))?;
    check_eq("its expirations", read_once(&passed, 8)?, 1u64.to_ne_bytes().to_vec())
}
