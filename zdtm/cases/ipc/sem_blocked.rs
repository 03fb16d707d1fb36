//! Children that wait for a semaphore, one of them until it is zero, go on waiting.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_ipc::{operate, set, values};
use crate::tools_tasks::await_that;

pub fn run(gate: &mut Gate) -> Verdict {
    let id = set(libc::IPC_PRIVATE, 0o600, &[0, 1])?;
    let taker = gate.fork(|_| Ok(operate(id, 0, -1, 0)?))?;
    let zero = gate.fork(|_| Ok(operate(id, 1, 0, 0)?))?;
    await_that("two waiters", || Ok(waiters(id, 0)? == 1 && waiters(id, 1)? == 1))?;
    gate.checkpoint()?;
    operate(id, 0, 2, 0)?;
    operate(id, 1, -1, 0)?;
    wait_ok(taker)?;
    wait_ok(zero)?;
    check_eq("the values", values(id, 2)?, vec![1, 0])
}

/// How many wait for a semaphore to grow, or to be zero.
fn waiters(id: i32, number: i32) -> Verdict<i32> {
    const GETNCNT: i32 = 14;
    const GETZCNT: i32 = 15;
    // SAFETY: these commands take no more.
    let of = |command| nix::errno::Errno::result(unsafe { libc::semctl(id, number, command) });
    Ok(of(GETNCNT)? + of(GETZCNT)?)
}
