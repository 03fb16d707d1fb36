//! A thread that waits on a futex and was moved to another by the kernel still waits and can be woken: on the word it
//! was moved to, or on its own, where the interrupted call began again.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, await_that};
use crate::tools_threads::{Call, futex, requeue};

pub fn run(gate: &mut Gate) -> Verdict {
    static FROM: Word = Word::new();
    static TO: Word = Word::new();
    let waiter = Call::start(libc::SYS_futex, || futex(&FROM, libc::FUTEX_WAIT, 0))?;
    check_eq("the moved", requeue(&FROM, (libc::FUTEX_REQUEUE, 0, 9, 0), &TO), (1, 0))?;
    gate.checkpoint()?;
    waiter.still()?;
    await_that("a woken waiter", || {
        let woken = futex(&TO, libc::FUTEX_WAKE, 9).0 + futex(&FROM, libc::FUTEX_WAKE, 9).0;
        Ok(woken == 1)
    })?;
    check_eq("the wait", waiter.result()?, (0, 0))
}
