//! A thread that waits on a private futex still waits, is counted by the waker, and returns without error.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::Word;
use crate::tools_threads::{Call, futex};

pub fn run(gate: &mut Gate) -> Verdict {
    static WORD: Word = Word::new();
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let waiters = [0; 3].map(|_| Call::start(libc::SYS_futex, move || futex(&WORD, wait, 0)));
    gate.checkpoint()?;
    for waiter in &waiters {
        waiter.as_ref().map_or(Ok(()), Call::still)?;
    }
    check_eq("a wait for another value", futex(&WORD, wait, 1), (-1, libc::EAGAIN))?;
    check_eq("the woken", futex(&WORD, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 2), (2, 0))?;
    check_eq("the rest", futex(&WORD, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 10), (1, 0))?;
    for waiter in waiters {
        check_eq("the wait", waiter?.result()?, (0, 0))?;
    }
    Ok(())
}
