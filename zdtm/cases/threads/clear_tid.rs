//! A thread's id word is cleared and its waiter woken when the thread ends after the restore, for a thread made with
//! CLONE_CHILD_CLEARTID and for one that changed the address later.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, must, outcome};
use crate::tools_threads::{Call, futex, join, spawn};

pub fn run(gate: &mut Gate) -> Verdict {
    static CHANGED: Word = Word::new();
    static STEP: Word = Word::new();
    let joined = spawn(|| STEP.wait_for(2))?;
    let own = spawn(|| {
        // SAFETY: the word is static. The C library's own word stays set, so nobody may join this thread.
        let tid = unsafe { libc::syscall(libc::SYS_set_tid_address, CHANGED.as_ptr()) };
        CHANGED.set(tid as u32);
        STEP.bump();
        STEP.wait_for(2);
        // SAFETY: ends this thread alone; it holds nothing.
        must("exit", outcome(unsafe { libc::syscall(libc::SYS_exit, 0) })).map(drop)
    })?;
    STEP.wait_for(1);
    let tid = CHANGED.get();
    let waiter = Call::start(libc::SYS_futex, move || futex(&CHANGED, libc::FUTEX_WAIT, tid))?;
    gate.checkpoint()?;
    waiter.still()?;
    check_eq("the word of the living thread", CHANGED.get(), tid)?;
    STEP.bump();
    check_eq("the wait for the thread's end", waiter.result()?, (0, 0))?;
    check_eq("the word of the dead thread", CHANGED.get(), 0)?;
    drop(own);
    join(joined)
}
