//! The three interval timers keep their intervals and the time left; a child has its own, or none.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child};
use crate::tools_timers::{get_itimer, set_itimer};
use std::time::Duration;

const NONE: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);

/// Fails unless each timer's interval is as before, and it has lost at most 200 s since. The kernel adds a tick to a timer
/// on processor time whenever it is set, so it may have gained a few.
fn check_timers(before: [(Duration, Duration); 3]) -> Verdict {
    for (which, before) in before.into_iter().enumerate() {
        let now = get_itimer(which as i32)?;
        check_eq(&format!("the interval of timer {which}"), now.1, before.1)?;
        let ticks = Duration::from_millis(if which == 0 { 0 } else { 50 });
        let left = now.0.saturating_sub(ticks)..=now.0 + Duration::from_secs(200);
        check(&format!("timer {which} went from {:?} to {:?}", before.0, now.0), left.contains(&before.0))?;
        check_eq(&format!("whether timer {which} is armed"), now.0.is_zero(), before.0.is_zero())?;
    }
    Ok(())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let seconds = Duration::from_secs_f64;
    let arrived = Word::shared()?;
    set_itimer(libc::ITIMER_REAL, seconds(1000.25), seconds(77.5))?;
    set_itimer(libc::ITIMER_VIRTUAL, seconds(500.5), seconds(3.0))?;
    set_itimer(libc::ITIMER_PROF, seconds(600.125), Duration::ZERO)?;
    let without = child(gate, |gate| {
        arrived.bump();
        gate.wait();
        check_timers([NONE; 3])
    })?;
    let with = child(gate, |gate| {
        set_itimer(libc::ITIMER_REAL, seconds(2000.0), Duration::ZERO)?;
        set_itimer(libc::ITIMER_PROF, seconds(1.0e6), seconds(0.25))?;
        let before = [get_itimer(0)?, NONE, get_itimer(2)?];
        arrived.bump();
        gate.wait();
        check_timers(before)
    })?;
    let before = [get_itimer(0)?, get_itimer(1)?, get_itimer(2)?];
    check_eq("the intervals", before.map(|t| t.1), [seconds(77.5), seconds(3.0), Duration::ZERO])?;
    arrived.wait_for(2);
    gate.checkpoint()?;
    check_timers(before)?;
    wait_ok(without)?;
    wait_ok(with)
}
