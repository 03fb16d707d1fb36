//! A pending SIGCHLD tells which child ended, how, under which user id, and the processor time that it had used; its
//! zombie is still there.
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools_signals::{change_mask, mask, take_now};
use crate::tools_tasks::{await_state, child, must, outcome, wait_status};
use std::time::Duration;

fn processor_time() -> Verdict<Duration> {
    Ok(nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let chld = mask(&[libc::SIGCHLD]);
    change_mask(libc::SIG_BLOCK, chld);
    let ended = child(gate, |_| {
        while processor_time()? < Duration::from_millis(300) {}
        // SAFETY: the calls take numbers only; _exit only ends the process.
        unsafe {
            must("setresuid", outcome(libc::setresuid(1357, 0, 0)))?;
            libc::_exit(77)
        }
    })?;
    await_state(ended, "Z")?;
    gate.checkpoint()?;
    let Some(info) = take_now(chld)? else { return fail("no SIGCHLD is pending") };
    let got = [0, 4, 8, 16, 20, 24].map(|at| info.i32(at));
    check_eq(
        "signal, errno, code, pid, uid, status",
        got,
        [libc::SIGCHLD, 0, libc::CLD_EXITED, ended.as_raw(), 1357, 77],
    )?;
    // In ticks of 10 ms, about thirty.
    let ticks = info.u64(32) + info.u64(40);
    check(&format!("{ticks} ticks of processor time"), (5..1000).contains(&ticks))?;
    check_eq("another SIGCHLD", take_now(chld)?, None)?;
    check_eq("the status", wait_status(-1, 0), (i64::from(ended.as_raw()), 77 << 8))
}
