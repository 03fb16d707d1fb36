//! Threads that ask for the time without end, inside the vDSO most of the time: no clock goes back, and all go on.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::{Word, outcome};
use crate::tools_threads::{join, spawn};
use std::time::Duration;

fn time(clock: libc::clockid_t) -> Verdict<Duration> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is written to a valid place.
    check_eq("clock_gettime", outcome(unsafe { libc::clock_gettime(clock, &mut now) }), (0, 0))?;
    check("nanoseconds below a second", (0..1_000_000_000).contains(&now.tv_nsec))?;
    Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
}

pub fn run(gate: &mut Gate) -> Verdict {
    static STOP: Word = Word::new();
    static ROUNDS: [Word; 5] = [const { Word::new() }; 5];
    let clocks = [
        libc::CLOCK_MONOTONIC,
        libc::CLOCK_BOOTTIME,
        libc::CLOCK_MONOTONIC_RAW,
        libc::CLOCK_MONOTONIC_COARSE,
        libc::CLOCK_REALTIME,
    ];
    let mut threads = Vec::new();
    for (clock, rounds) in clocks.into_iter().zip(&ROUNDS) {
        threads.push(spawn(move || {
            let mut last = time(clock)?;
            while STOP.get() == 0 {
                for _ in 0..100 {
                    let now = time(clock)?;
                    check(&format!("clock {clock} goes forward from {last:?} to {now:?}"), now >= last)?;
                    last = now;
                }
                rounds.bump();
            }
            Ok::<(), crate::gate::Failure>(())
        })?);
    }
    ROUNDS.iter().for_each(|r| r.wait_for(2));
    gate.checkpoint()?;
    ROUNDS.iter().for_each(|r| r.wait_for(r.get() + 100));
    STOP.set(1);
    threads.into_iter().try_for_each(|t| join(t)?)
}
