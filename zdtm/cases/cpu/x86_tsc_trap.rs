//! A thread that had the time stamp counter forbidden to itself still gets a signal for reading it; others may.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::{Word, must, outcome, prctl};
use crate::tools_threads::{join, spawn};
use crate::tools_x86::{caught_faults, skip_faults};

/// Both instructions are two bytes long, which is what the handler skips.
fn read_counter() {
    // SAFETY: the instruction only writes the two registers.
    unsafe { core::arch::asm!("rdtsc", out("rax") _, out("rdx") _) };
}

fn setting() -> Verdict<i32> {
    let mut value = 0i32;
    // SAFETY: the kernel writes one int.
    must("PR_GET_TSC", outcome(unsafe { libc::prctl(libc::PR_GET_TSC, &raw mut value) }))?;
    Ok(value)
}

pub fn run(gate: &mut Gate) -> Verdict {
    static STEP: Word = Word::new();
    skip_faults(2)?;
    let denied = spawn(|| {
        must("PR_SET_TSC", prctl(libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV as u64))?;
        read_counter();
        STEP.bump();
        STEP.wait_for(2);
        check_eq("PR_GET_TSC", setting()?, libc::PR_TSC_SIGSEGV)?;
        read_counter();
        must("PR_SET_TSC", prctl(libc::PR_SET_TSC, libc::PR_TSC_ENABLE as u64)).map(drop)
    })?;
    STEP.wait_for(1);
    check_eq("faults before", caught_faults(), 1)?;
    gate.checkpoint()?;
    read_counter();
    check("no fault in the main thread", caught_faults() == 1)?;
    check_eq("PR_GET_TSC of the main thread", setting()?, libc::PR_TSC_ENABLE)?;
    STEP.bump();
    join(denied)??;
    check_eq("faults after", caught_faults(), 2)
}
