//! A sleep that a handler interrupts after the restore ends with EINTR and tells the time that remained.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::{caught, count, tgkill};
use crate::tools_tasks::outcome;
use crate::tools_threads::{blocked, timespec};
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    count(libc::SIGUSR1, libc::SA_RESTART)?;
    static TID: crate::tools_tasks::Word = crate::tools_tasks::Word::new();
    let sleep = || {
        TID.set(crate::tools_tasks::gettid() as u32);
        let (time, mut left) = (timespec(Duration::from_secs(600)), timespec(Duration::ZERO));
        // SAFETY: both times are valid during the call.
        let done = outcome(unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, &raw mut left) });
        (done, left.tv_sec)
    };
    let interrupt = || tgkill(TID.get() as i32, libc::SIGUSR1);
    let (done, left) = blocked(gate, libc::SYS_nanosleep, sleep, interrupt)?;
    check_eq("the sleep", done, (-1, libc::EINTR))?;
    check_eq("signals caught", caught(libc::SIGUSR1), 1)?;
    check(&format!("the remaining time of {left} s"), (450..600).contains(&left))
}
