//! A robust mutex in shared memory whose owner, another process, is killed after the restore: the lock tells its death.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::{Word, child, wait_status};

/// A robust, process-shared mutex in memory that children inherit.
fn shared_mutex() -> Verdict<*mut libc::pthread_mutex_t> {
    let words = size_of::<libc::pthread_mutex_t>().div_ceil(4);
    let mutex: *mut libc::pthread_mutex_t = Word::shared_many(words)?[0].as_ptr().cast();
    // SAFETY: an attribute object on the stack, initialised before its use; the mutex is fresh shared memory.
    let done = unsafe {
        let mut attr: libc::pthread_mutexattr_t = std::mem::zeroed();
        libc::pthread_mutexattr_init(&mut attr);
        libc::pthread_mutexattr_setrobust(&mut attr, libc::PTHREAD_MUTEX_ROBUST);
        libc::pthread_mutexattr_setpshared(&mut attr, libc::PTHREAD_PROCESS_SHARED);
        libc::pthread_mutex_init(mutex, &attr)
    };
    check_eq("pthread_mutex_init", done, 0)?;
    Ok(mutex)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mutex = shared_mutex()?;
    let locked = Word::shared()?;
    let owner = child(gate, |_| {
        // SAFETY: the mutex is initialised.
        check_eq("the owner's lock", unsafe { libc::pthread_mutex_lock(mutex) }, 0)?;
        locked.bump();
        locked.wait_for(2);
        Ok(())
    })?;
    locked.wait_for(1);
    gate.checkpoint()?;
    // SAFETY: the mutex is initialised.
    check_eq("a try while the owner lives", unsafe { libc::pthread_mutex_trylock(mutex) }, libc::EBUSY)?;
    // SAFETY: the call takes numbers only.
    check("the kill", unsafe { libc::kill(owner.as_raw(), libc::SIGKILL) } == 0)?;
    check_eq("the owner's end", wait_status(owner.as_raw(), 0), (i64::from(owner.as_raw()), libc::SIGKILL))?;
    // SAFETY: the mutex is initialised; the calls follow the protocol for a dead owner.
    let after = unsafe {
        [libc::pthread_mutex_lock(mutex), libc::pthread_mutex_consistent(mutex), libc::pthread_mutex_unlock(mutex)]
    };
    check_eq("lock, consistent, unlock", after, [libc::EOWNERDEAD, 0, 0])
}
