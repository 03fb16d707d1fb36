//! A program that catches every signal there is sees none while it is frozen, moved and thawed; computing, sleeping and
//! waiting alike.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{caught, count};
use crate::tools_spin::spin;
use crate::tools_tasks::Word;
use crate::tools_threads::{Call, futex};

fn all_caught() -> Vec<i32> {
    (1..=64).filter(|signal| caught(*signal) != 0).collect()
}

pub fn run(gate: &mut Gate) -> Verdict {
    static WORD: Word = Word::new();
    // The C library keeps 32 and 33 for itself.
    for signal in (1..=64).filter(|s| ![libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(s)) {
        count(signal, if signal % 2 == 0 { libc::SA_RESTART } else { 0 })?;
    }
    let waiter = Call::start(libc::SYS_futex, || futex(&WORD, libc::FUTEX_WAIT, 0))?;
    let sleeper = Call::start(libc::SYS_clock_nanosleep, || {
        let time = libc::timespec { tv_sec: 0, tv_nsec: 500_000_000 };
        // SAFETY: the time is valid; the remaining time is not asked for.
        unsafe { libc::nanosleep(&time, std::ptr::null_mut()) }
    })?;
    spin(gate, |words| {
        words.running.set(1);
        while words.stop.get() == 0 {
            std::hint::spin_loop();
        }
    })?;
    waiter.still()?;
    check_eq("signals caught", all_caught(), Vec::new())?;
    check_eq("the woken", futex(&WORD, libc::FUTEX_WAKE, 1), (1, 0))?;
    check_eq("the wait", waiter.result()?, (0, 0))?;
    check_eq("the sleep", sleeper.result()?, 0)?;
    check_eq("signals caught at the end", all_caught(), Vec::new())
}
