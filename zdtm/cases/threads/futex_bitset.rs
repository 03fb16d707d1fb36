//! Waits on a futex with a bit set and an absolute time: the bits still select whom a wake reaches, and the time, on the
//! real-time and on the monotonic clock, is still the same point in time.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::Word;
use crate::tools_threads::{Call, futex_timed};
use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

const WAKE: i32 = libc::FUTEX_WAKE_BITSET;

pub fn run(gate: &mut Gate) -> Verdict {
    static TIMED: Word = Word::new();
    static BITS: Word = Word::new();
    let mut timed = Vec::new();
    for (clock, flag) in [(ClockId::CLOCK_REALTIME, libc::FUTEX_CLOCK_REALTIME), (ClockId::CLOCK_MONOTONIC, 0)] {
        let end = Duration::from(clock_gettime(clock)?) + Duration::from_secs(2);
        timed.push(Call::start(libc::SYS_futex, move || {
            let done = futex_timed(&TIMED, (libc::FUTEX_WAIT_BITSET | flag, 0, 1), Some(end), &TIMED);
            clock_gettime(clock).map(|now| (done, Duration::from(now), end))
        })?);
    }
    let selective =
        Call::start(libc::SYS_futex, || futex_timed(&BITS, (libc::FUTEX_WAIT_BITSET, 0, 0x8000_0002), None, &BITS))?;
    gate.checkpoint()?;
    let opened = Instant::now();
    selective.still()?;
    check_eq("a wake with other bits", futex_timed(&BITS, (WAKE, 9, 0x7fff_fffd), None, &BITS), (0, 0))?;
    check_eq("a wake with a bit in common", futex_timed(&BITS, (WAKE, 9, 0x8000_0000), None, &BITS), (1, 0))?;
    check_eq("the selective wait", selective.result()?, (0, 0))?;
    for wait in timed {
        let (done, now, end) = wait.result()??;
        check_eq("the timed wait", done, (-1, libc::ETIMEDOUT))?;
        check("the timed wait did not end early", now >= end)?;
    }
    check("the timed waits did not start anew", opened.elapsed() < Duration::from_secs(6))
}
