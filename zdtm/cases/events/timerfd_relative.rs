//! Timer descriptors set to a time from now: one-shot and periodic ones keep period and time left, one that is not armed
//! stays so.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_events::{set_timer, timer_state, timerfd};
use crate::tools_files::read_once;
use nix::errno::Errno;
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let hour = Duration::from_secs(3600);
    let (once, periodic) = (timerfd(libc::CLOCK_MONOTONIC, 0)?, timerfd(libc::CLOCK_REALTIME, libc::TFD_NONBLOCK)?);
    let (idle, short) = (timerfd(libc::CLOCK_BOOTTIME, libc::TFD_NONBLOCK)?, timerfd(libc::CLOCK_BOOTTIME, 0)?);
    set_timer(&once, 0, hour, Duration::ZERO)?;
    set_timer(&periodic, 0, 2 * hour, Duration::new(7, 123_456_789))?;
    set_timer(&short, 0, Duration::from_millis(300), Duration::from_millis(50))?;
    let before = [timer_state(&once)?, timer_state(&periodic)?];
    gate.checkpoint()?;
    let after = [timer_state(&once)?, timer_state(&periodic)?];
    for ((before, after), name) in before.iter().zip(&after).zip(["one-shot", "periodic"]) {
        check_eq(&format!("the interval of the {name} timer"), after.1, before.1)?;
        let gone = before.0.checked_sub(after.0);
        check(&format!("the time left: {before:?} → {after:?}"), gone.is_some_and(|t| t < Duration::from_secs(600)))?;
    }
    check_eq("the idle timer", timer_state(&idle)?, (Duration::ZERO, Duration::ZERO))?;
    check_eq("reading the idle timer", read_once(&idle, 8), Err(Errno::EAGAIN))?;
    check_eq("reading the periodic timer", read_once(&periodic, 8), Err(Errno::EAGAIN))?;
    // The first read waits where the timer has not expired yet.
    for _ in 0..3 {
        check_eq("what was read", read_once(&short, 8)?.len(), 8)?;
    }
    set_timer(&once, 0, Duration::from_millis(1), Duration::ZERO)?;
    check_eq("a timer that was set anew", read_once(&once, 8)?, 1u64.to_ne_bytes().to_vec())
}
