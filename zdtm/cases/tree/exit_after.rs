//! A child that ends as soon as it runs again: the parent gets its SIGCHLD, once and with the right information.
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_signals::{change_mask, mask, take, take_now};
use crate::tools_tasks::{Word, child, wait_status};
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let chld = mask(&[libc::SIGCHLD]);
    change_mask(libc::SIG_BLOCK, chld);
    let arrived = Word::shared()?;
    let pid = child(gate, |gate| {
        arrived.bump();
        gate.wait();
        // SAFETY: _exit only ends the process.
        unsafe { libc::_exit(42) }
    })?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    let Some(info) = take(chld, Duration::from_secs(20))? else { return fail("no SIGCHLD came") };
    let got = (info.i32(0), info.i32(8), info.i32(16), info.i32(24));
    check_eq("signal, code, pid, status", got, (libc::SIGCHLD, libc::CLD_EXITED, pid.as_raw(), 42))?;
    check_eq("another SIGCHLD", take_now(chld)?, None)?;
    check_eq("the status", wait_status(-1, 0), (i64::from(pid.as_raw()), 42 << 8))
}
