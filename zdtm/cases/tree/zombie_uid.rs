//! A zombie keeps the user id that its parent sees in `waitid`, and its session and process group.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{await_state, child, must, outcome, peek_end, wait_status};
use nix::unistd::{getpgid, getsid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    let zombie = child(gate, |_| {
        setsid()?;
        // SAFETY: the call takes numbers only.
        must("setresuid", outcome(unsafe { libc::setresuid(1234, 2345, 3456) }))?;
        // SAFETY: _exit only ends the process.
        unsafe { libc::_exit(3) }
    })?;
    await_state(zombie, "Z")?;
    let before = peek_end(zombie)?;
    check_eq("the end before", before, (libc::CLD_EXITED, 3, 1234))?;
    gate.checkpoint()?;
    check_eq("the end", peek_end(zombie)?, before)?;
    check_eq("session and group", (getsid(Some(zombie))?, getpgid(Some(zombie))?), (zombie, zombie))?;
    check_eq("the status", wait_status(zombie.as_raw(), 0), (i64::from(zombie.as_raw()), 3 << 8))
}
