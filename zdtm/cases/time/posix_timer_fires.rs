//! POSIX timers armed before the dump run out after the restore: the signal tells the timer's id and carries its value,
//! for the process and for the one thread that it is meant for; one that repeats goes on repeating.
//@ witness: -SigPnd -ShdPnd # timers run out meanwhile
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools_signals::{Info, change_mask, mask, take, take_now};
use crate::tools_tasks::{Word, gettid};
use crate::tools_threads::{join, spawn};
use crate::tools_timers::{Notify, Timer};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Signal, code, timer id and value.
fn shown(info: &Info) -> (i32, i32, i32, u64) {
    (info.i32(0), info.i32(8), info.i32(16), info.value())
}

pub fn run(gate: &mut Gate) -> Verdict {
    static STEP: Word = Word::new();
    let [once, thrice, own] = [libc::SIGRTMIN() + 1, libc::SIGRTMIN() + 2, libc::SIGUSR2];
    change_mask(libc::SIG_BLOCK, mask(&[once, thrice, own]));
    let start = Instant::now();
    let (value, first) = (0xabcd_ef01_2345_6789, Duration::from_millis(1500));
    let thread = spawn(move || {
        let timer = Timer::new(libc::CLOCK_MONOTONIC, Notify::Thread(own, value, gettid()))?;
        timer.set(false, first, Duration::ZERO)?;
        STEP.bump();
        STEP.wait_for(2);
        let Some(info) = take(mask(&[own]), PATIENCE)? else { return fail("the thread's timer did not run out") };
        check_eq("the thread's timer", shown(&info), (own, libc::SI_TIMER, timer.0, value))
    })?;
    STEP.wait_for(1);
    let single = Timer::new(libc::CLOCK_BOOTTIME, Notify::Signal(once, 42))?;
    single.set(false, first, Duration::ZERO)?;
    let repeating = Timer::new(libc::CLOCK_REALTIME, Notify::Signal(thrice, 43))?;
    repeating.set(false, first, Duration::from_millis(20))?;
    gate.checkpoint()?;
    let Some(info) = take(mask(&[once]), PATIENCE)? else { return fail("the timer did not run out") };
    check_eq("the timer", shown(&info), (once, libc::SI_TIMER, single.0, 42))?;
    check("the timer did not run out early", start.elapsed() >= first)?;
    for _ in 0..5 {
        let Some(info) = take(mask(&[thrice]), PATIENCE)? else { return fail("the timer did not repeat") };
        check_eq("the repeating timer", shown(&info), (thrice, libc::SI_TIMER, repeating.0, 43))?;
    }
    repeating.delete()?;
    STEP.bump();
    join(thread)??;
    check_eq("the timer that runs out once", take_now(mask(&[once, own]))?, None)
}
