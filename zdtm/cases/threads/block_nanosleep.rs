//! A thread in nanosleep sleeps what remains of its time: not shorter, and not the whole time anew.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::outcome;
use crate::tools_threads::{Call, timespec};
use std::time::{Duration, Instant};

const WHOLE: Duration = Duration::from_secs(4);

/// Sleeps and returns how it ended, when, and what was left in the remaining time.
fn sleep(nr: i64) -> ((i64, i32), Instant, i64) {
    let time = timespec(WHOLE);
    let mut left = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both times are valid during the call.
    let done = outcome(unsafe {
        if nr == libc::SYS_nanosleep {
            libc::syscall(nr, &raw const time, &raw mut left)
        } else {
            libc::syscall(nr, libc::CLOCK_MONOTONIC, 0, &raw const time, &raw mut left)
        }
    });
    (done, Instant::now(), left.tv_sec)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let start = Instant::now();
    let calls = [libc::SYS_nanosleep, libc::SYS_clock_nanosleep].map(|nr| Call::start(nr, move || sleep(nr)));
    std::thread::sleep(WHOLE / 2);
    gate.checkpoint()?;
    // At the dump at most half the time was left.
    let opened = Instant::now();
    for call in calls {
        let (done, end, _) = call?.result()?;
        check_eq("the sleep", done, (0, 0))?;
        check("the sleep was long enough", end - start >= WHOLE)?;
        let more = end.saturating_duration_since(opened);
        check(&format!("the sleep went on for {more:?}, not anew"), more < WHOLE * 4 / 5)?;
    }
    Ok(())
}
