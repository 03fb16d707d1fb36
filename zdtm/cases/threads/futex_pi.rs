//! A thread that waits for a lock with priority inheritance: the owner still runs with the waiter's priority, and the
//! lock goes to the waiter when the owner unlocks it.
//@ needs: [cap:sys_nice]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_sched::{Attributes, set_own_attributes};
use crate::tools_tasks::{Word, await_that, gettid, stat_fields};
use crate::tools_threads::{Call, futex};

/// The priority of the main thread as `stat` tells it: -1 - N for real-time priority N.
fn priority() -> Verdict<String> {
    Ok(stat_fields("/proc/thread-self/stat")?[15].clone())
}

pub fn run(gate: &mut Gate) -> Verdict {
    static LOCK: Word = Word::new();
    LOCK.set(gettid() as u32);
    let own = priority()?;
    let waiter = Call::start(libc::SYS_futex, || {
        let fifo = Attributes { policy: libc::SCHED_FIFO as u32, priority: 30, ..Attributes::default() };
        set_own_attributes(&fifo)?;
        let locked = futex(&LOCK, libc::FUTEX_LOCK_PI, 0);
        let held = LOCK.get() & libc::FUTEX_TID_MASK;
        Ok::<_, crate::gate::Failure>((locked, held == gettid() as u32, futex(&LOCK, libc::FUTEX_UNLOCK_PI, 0)))
    })?;
    check_eq("the lock word", LOCK.get(), gettid() as u32 | libc::FUTEX_WAITERS)?;
    check_eq("the owner's priority", priority()?, "-31".to_owned())?;
    gate.checkpoint()?;
    waiter.still()?;
    await_that("the owner's inherited priority", || Ok(priority()? == "-31"))?;
    check_eq("the unlock", futex(&LOCK, libc::FUTEX_UNLOCK_PI, 0), (0, 0))?;
    check_eq("the owner's priority afterwards", priority()?, own)?;
    check_eq("lock, held, unlock", waiter.result()??, ((0, 0), true, (0, 0)))
}
