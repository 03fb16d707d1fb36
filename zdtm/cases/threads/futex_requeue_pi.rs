//! A thread that waits to be moved to a lock with priority inheritance, as condition variables do, is moved and gets it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, await_that, gettid};
use crate::tools_threads::{Call, futex, futex_timed, requeue};

pub fn run(gate: &mut Gate) -> Verdict {
    static CONDITION: Word = Word::new();
    static LOCK: Word = Word::new();
    let waiter = Call::start(libc::SYS_futex, || {
        let done = futex_timed(&CONDITION, (libc::FUTEX_WAIT_REQUEUE_PI, 0, 0), None, &LOCK);
        (done, LOCK.get() & libc::FUTEX_TID_MASK == gettid() as u32, futex(&LOCK, libc::FUTEX_UNLOCK_PI, 0))
    })?;
    gate.checkpoint()?;
    waiter.still()?;
    check_eq("a lock that is free", LOCK.get(), 0)?;
    await_that("a waiter to move", || {
        let moved = requeue(&CONDITION, (libc::FUTEX_CMP_REQUEUE_PI, 1, 0, 0), &LOCK);
        Ok(moved == (1, 0) || moved == (0, 0) && LOCK.get() != 0)
    })?;
    check_eq("wait, held", waiter.result()?, ((0, 0), true, (0, 0)))
}
