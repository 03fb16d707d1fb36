//! A child belongs to the thread that made it: only that thread's list shows it, a wait restricted to the own thread's
//! children finds it there only, and its signal at its parent's death comes when that thread ends.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{change_mask, mask, take};
use crate::tools_tasks::{Word, must, outcome, prctl, wait_status};
use crate::tools_threads::{join, spawn};
use std::time::Duration;

const NOTHREAD: i32 = 0x2000_0000;

/// The children of this thread as the kernel lists them.
fn own_children() -> Verdict<String> {
    Ok(std::fs::read_to_string("/proc/thread-self/children")?.trim().to_owned())
}

/// The child's life: it must get its signal when the thread ends, after the gate.
fn mourn(signal: i32, arrived: &Word) -> i32 {
    change_mask(libc::SIG_BLOCK, mask(&[signal]));
    let set = must("PR_SET_PDEATHSIG", prctl(libc::PR_SET_PDEATHSIG, signal as u64));
    arrived.bump();
    let info = take(mask(&[signal]), Duration::from_secs(25));
    i32::from(set.is_err() || !matches!(info, Ok(Some(_))))
}

pub fn run(gate: &mut Gate) -> Verdict {
    static STEP: Word = Word::new();
    let arrived = Word::shared()?;
    let thread = spawn(move || {
        // SAFETY: the child makes plain system calls only.
        let pid = must("fork", outcome(unsafe { libc::fork() }))?;
        if pid == 0 {
            // SAFETY: _exit only ends the process.
            unsafe { libc::_exit(mourn(libc::SIGUSR1, arrived)) };
        }
        STEP.bump();
        STEP.wait_for(2);
        check_eq("the maker's children", own_children()?, pid.to_string())?;
        check_eq("the maker's wait", wait_status(-1, NOTHREAD | libc::WNOHANG), (0, 0))?;
        Ok::<_, crate::gate::Failure>(pid)
    })?;
    STEP.wait_for(1);
    arrived.wait_for(1);
    gate.checkpoint()?;
    check_eq("the main thread's children", own_children()?, String::new())?;
    check_eq("the main thread's wait", wait_status(-1, NOTHREAD | libc::WNOHANG), (-1, libc::ECHILD))?;
    STEP.bump();
    let pid = join(thread)??;
    check_eq("the child's end", wait_status(pid as i32, 0), (pid, 0))
}
