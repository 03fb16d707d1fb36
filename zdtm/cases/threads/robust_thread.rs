//! A robust mutex whose owner, a thread, ends after the restore without unlocking it: the waiter that was blocked on it
//! learns of the owner's death, and the mutex works again when it was made consistent.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::Word;
use crate::tools_threads::{Call, join, spawn};

struct Mutex(std::cell::UnsafeCell<libc::pthread_mutex_t>);
// SAFETY: a pthread mutex is made to be used by several threads.
unsafe impl Sync for Mutex {}

impl Mutex {
    fn robust() -> &'static Mutex {
        let mutex: &Mutex = Box::leak(Box::new(Mutex(libc::PTHREAD_MUTEX_INITIALIZER.into())));
        // SAFETY: an attribute object on the stack, initialised before its use; the mutex is fresh and never moves.
        unsafe {
            let mut attr: libc::pthread_mutexattr_t = std::mem::zeroed();
            libc::pthread_mutexattr_init(&mut attr);
            libc::pthread_mutexattr_setrobust(&mut attr, libc::PTHREAD_MUTEX_ROBUST);
            libc::pthread_mutex_init(mutex.0.get(), &attr);
        }
        mutex
    }
    fn lock(&self) -> i32 {
        // SAFETY: the mutex is initialised.
        unsafe { libc::pthread_mutex_lock(self.0.get()) }
    }
    fn consistent_and_unlock(&self) -> [i32; 2] {
        // SAFETY: the mutex is initialised and held by this thread.
        unsafe { [libc::pthread_mutex_consistent(self.0.get()), libc::pthread_mutex_unlock(self.0.get())] }
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    static STEP: Word = Word::new();
    let mutex = Mutex::robust();
    let owner = spawn(move || {
        let locked = mutex.lock();
        STEP.bump();
        STEP.wait_for(2);
        locked
    })?;
    STEP.wait_for(1);
    let waiter = Call::start(libc::SYS_futex, move || [[mutex.lock(); 2], mutex.consistent_and_unlock()])?;
    gate.checkpoint()?;
    waiter.still()?;
    STEP.bump();
    check_eq("the owner's lock", join(owner)?, 0)?;
    check_eq("the waiter's lock, consistent, unlock", waiter.result()?, [[libc::EOWNERDEAD; 2], [0, 0]])?;
    check_eq("a lock afterwards", mutex.lock(), 0)
}
