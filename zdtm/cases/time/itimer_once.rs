//! A one-shot timer runs out once, not early and not after the whole time anew; with its signal pending at the dump, it
//! does not run out again.
//@ witness: -SigPnd -ShdPnd # timers run out meanwhile
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{change_mask, mask, pending, take, take_now};
use crate::tools_tasks::{Word, await_that, child};
use crate::tools_timers::{get_itimer, set_itimer};
use std::time::{Duration, Instant};

pub fn run(gate: &mut Gate) -> Verdict {
    let alarm = mask(&[libc::SIGALRM]);
    change_mask(libc::SIG_BLOCK, alarm);
    let arrived = Word::shared()?;
    let fired = child(gate, |gate| {
        set_itimer(libc::ITIMER_REAL, Duration::from_millis(1), Duration::ZERO)?;
        await_that("the alarm", || Ok(pending() == alarm))?;
        arrived.bump();
        gate.wait();
        // A kernel's own signal: the code is SI_KERNEL.
        let got = take_now(alarm)?.map(|i| (i.i32(0), i.i32(8), i.i32(16)));
        check_eq("the pending alarm", got, Some((libc::SIGALRM, libc::SI_KERNEL, 0)))?;
        check_eq("another alarm", take(alarm, Duration::from_millis(50))?, None)
    })?;
    arrived.wait_for(1);
    let (start, whole) = (Instant::now(), Duration::from_secs(4));
    set_itimer(libc::ITIMER_REAL, whole, Duration::ZERO)?;
    std::thread::sleep(whole / 2);
    gate.checkpoint()?;
    // At the dump at most half the time was left.
    let opened = Instant::now();
    wait_ok(fired)?;
    check("the alarm came", take(alarm, Duration::from_secs(20))?.is_some())?;
    check("the alarm did not come early", start.elapsed() >= whole)?;
    let more = opened.elapsed();
    check(&format!("the alarm came {more:?} after the gate, not anew"), more < whole * 4 / 5)?;
    check_eq("the timer afterwards", get_itimer(libc::ITIMER_REAL)?, (Duration::ZERO, Duration::ZERO))
}
