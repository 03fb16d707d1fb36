//! Threads blocked on a mutex, a condition variable, a barrier, a read-write lock and a channel go on when their time
//! comes.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_threads::Call;
use std::sync::{Barrier, Condvar, Mutex, RwLock, mpsc};

static MUTEX: Mutex<u32> = Mutex::new(1);
static FLAG: Mutex<bool> = Mutex::new(false);
static CONDITION: Condvar = Condvar::new();
static LOCK: RwLock<u32> = RwLock::new(3);

pub fn run(gate: &mut Gate) -> Verdict {
    let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(2)));
    let (send, receive) = mpsc::channel::<u32>();
    let (held, read) = (MUTEX.lock()?, LOCK.read()?);
    let calls: [Box<dyn FnOnce() -> Option<u32> + Send>; 5] = [
        Box::new(|| MUTEX.lock().ok().map(|v| *v)),
        Box::new(|| {
            let mut flag = FLAG.lock().ok()?;
            while !*flag {
                flag = CONDITION.wait(flag).ok()?;
            }
            Some(2)
        }),
        Box::new(|| {
            let mut value = LOCK.write().ok()?;
            *value += 1;
            Some(*value)
        }),
        Box::new(|| Some(4 + u32::from(barrier.wait().is_leader()))),
        Box::new(move || receive.recv().ok()),
    ];
    let mut waiting = Vec::new();
    for call in calls {
        waiting.push(Call::start(libc::SYS_futex, call)?);
    }
    gate.checkpoint()?;
    waiting.iter().try_for_each(Call::still)?;
    check_eq("the value read under the lock", *read, 3)?;
    drop((held, read));
    *FLAG.lock()? = true;
    CONDITION.notify_all();
    let leads = barrier.wait().is_leader();
    send.send(5)?;
    let mut results = Vec::new();
    for call in waiting {
        results.push(call.result()?);
    }
    check("one of two at the barrier leads", (results[3] == Some(5)) != leads)?;
    results[3] = None;
    check_eq("what the threads got", results, vec![Some(1), Some(2), Some(4), None, Some(5)])
}
