//! Timers on processor time: they count this process's and this thread's time only, and run out when it is used up.
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools_signals::{change_mask, mask, take, take_now};
use crate::tools_timers::{Notify, Timer};
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// What the timers have left at the gate. An emulated CPU spends some tens of milliseconds of it in each dump.
const LEFT: Duration = Duration::from_millis(1000);
/// What is used before the gate.
const USED: Duration = Duration::from_millis(50);

/// Uses the processor for so long.
fn compute(time: Duration) -> Verdict {
    let used = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let until = used()? + time;
    while used()? < until {}
    Ok(())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let signals = [libc::SIGRTMIN() + 1, libc::SIGRTMIN() + 2];
    change_mask(libc::SIG_BLOCK, mask(&signals));
    let clocks = [libc::CLOCK_PROCESS_CPUTIME_ID, libc::CLOCK_THREAD_CPUTIME_ID];
    let mut timers = Vec::new();
    for (clock, signal) in clocks.into_iter().zip(signals) {
        let timer = Timer::new(clock, Notify::Signal(signal, 9))?;
        timer.set(false, LEFT + USED, Duration::ZERO)?;
        timers.push((timer, signal));
    }
    compute(USED)?;
    std::thread::sleep(Duration::from_millis(400));
    gate.checkpoint()?;
    for (timer, signal) in &timers {
        let left = timer.get()?.0;
        check(&format!("{left:?} of processor time left"), left > Duration::ZERO && left <= LEFT + USED / 5)?;
        check_eq("a signal of a timer that has not run out", take_now(mask(&[*signal]))?, None)?;
    }
    compute(LEFT + USED)?;
    for (timer, signal) in timers {
        let Some(info) = take(mask(&[signal]), Duration::from_secs(5))? else { return fail("a timer did not run out") };
        check_eq("timer id, value", (info.i32(16), info.value()), (timer.0, 9))?;
    }
    Ok(())
}
