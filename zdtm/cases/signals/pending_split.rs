//! Pending signals stay where they were: those of one thread are its own, those of the process anybody's.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::status_field;
use crate::tools_signals::{change_mask, mask, pending, take_now, tgkill};
use crate::tools_tasks::{Word, gettid};
use crate::tools_threads::{join, spawn};

/// The pending signals of this thread and of the process, as /proc tells them.
fn split() -> Verdict<[String; 2]> {
    Ok([status_field("thread-self", "SigPnd")?, status_field("thread-self", "ShdPnd")?])
}

pub fn run(gate: &mut Gate) -> Verdict {
    static STEP: Word = Word::new();
    let (private, main, shared) =
        (mask(&[libc::SIGUSR1]), mask(&[libc::SIGTRAP, libc::SIGRTMAX()]), mask(&[libc::SIGUSR2]));
    let hex = |set: u64| format!("{set:016x}");
    change_mask(libc::SIG_BLOCK, u64::MAX);
    let thread = spawn(move || {
        tgkill(gettid(), libc::SIGUSR1)?;
        STEP.bump();
        STEP.wait_for(2);
        check_eq("pending in the thread", split()?, [private, shared].map(hex))?;
        check_eq("pending for the thread", pending(), private | shared)?;
        check_eq("the thread's own signal", take_now(private)?.map(|i| i.i32(0)), Some(libc::SIGUSR1))?;
        check_eq("another signal of its own", take_now(private)?, None)
    })?;
    STEP.wait_for(1);
    tgkill(gettid(), libc::SIGTRAP)?;
    tgkill(gettid(), libc::SIGRTMAX())?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(libc::getpid(), libc::SIGUSR2) };
    gate.checkpoint()?;
    check_eq("pending in the main thread", split()?, [main, shared].map(hex))?;
    check_eq("the other thread's signal", take_now(private)?, None)?;
    STEP.bump();
    join(thread)??;
    check_eq("the shared signal", take_now(shared)?.map(|i| i.i32(0)), Some(libc::SIGUSR2))?;
    check_eq("pending afterwards", pending(), main)
}
