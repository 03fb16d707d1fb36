//! Waits on a futex with a relative time: one runs out, not early and with ETIMEDOUT; one is woken long before its time.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::Word;
use crate::tools_threads::{Call, futex, futex_timed};
use std::time::{Duration, Instant};

pub fn run(gate: &mut Gate) -> Verdict {
    static SHORT: Word = Word::new();
    static LONG: Word = Word::new();
    let time = Duration::from_millis(2500);
    let start = Instant::now();
    let short = Call::start(libc::SYS_futex, move || {
        (futex_timed(&SHORT, (libc::FUTEX_WAIT, 0, 0), Some(time), &SHORT), start.elapsed())
    })?;
    let hour = Some(Duration::from_secs(3600));
    let long = Call::start(libc::SYS_futex, move || futex_timed(&LONG, (libc::FUTEX_WAIT, 0, 0), hour, &LONG))?;
    gate.checkpoint()?;
    long.still()?;
    check_eq("the woken", futex(&LONG, libc::FUTEX_WAKE, 9), (1, 0))?;
    check_eq("the long wait", long.result()?, (0, 0))?;
    let (result, elapsed) = short.result()?;
    check_eq("the short wait", result, (-1, libc::ETIMEDOUT))?;
    check(&format!("the short wait was long enough ({elapsed:?})"), elapsed >= time)
}
