//! What cases of threads share: threads caught in a system call, threads that each have a state of their own, and raw
//! futex calls.

use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools::slowness;
use crate::tools_tasks::{Outcome, Word, await_that, gettid, outcome};
use std::ffi::{c_int, c_long};
use std::fmt::Debug;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The stack of the suite's threads: small, as there may be a thousand.
const STACK: usize = 256 << 10;

/// Starts a thread whose verdict `join` takes.
pub fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Verdict<JoinHandle<T>> {
    Ok(std::thread::Builder::new().stack_size(STACK).spawn(body)?)
}

/// Waits for the end of a thread, which must come soon.
pub fn join<T>(thread: JoinHandle<T>) -> Verdict<T> {
    await_that("the end of a thread", || Ok(thread.is_finished()))?;
    thread.join().or_else(|_| fail("a thread panicked"))
}

/// What a thread does to itself to get a state of its own.
pub type Setup = Box<dyn FnOnce() -> Verdict + Send>;

/// Has each thread set itself up, and check after the gate that `observe` shows what it showed before. What they observe
/// must differ between the threads, else the case would prove nothing.
pub fn each_thread<T: PartialEq + Debug + Clone + Send + 'static>(
    gate: &mut Gate,
    setups: Vec<Setup>,
    observe: fn() -> Verdict<T>,
) -> Verdict {
    static GO: Word = Word::new();
    let (send, receive) = std::sync::mpsc::channel();
    let mut threads = Vec::new();
    for setup in setups {
        let send = send.clone();
        threads.push(spawn(move || {
            let before = setup().and_then(|()| observe());
            let told = send.send(before.as_ref().map(T::clone).map_err(|failure| failure.0.clone()));
            let before = before?;
            told?;
            GO.wait_for(1);
            check_eq("what the thread observes", observe()?, before)
        })?);
    }
    let mut seen = vec![observe()?];
    for _ in &threads {
        let one = receive.recv()?.or_else(fail)?;
        check(&format!("a state of its own in {one:?}"), !seen.contains(&one))?;
        seen.push(one);
    }
    gate.checkpoint()?;
    check_eq("what the main thread observes", observe()?, seen.swap_remove(0))?;
    GO.set(1);
    threads.into_iter().try_for_each(|thread| join(thread)?)
}

/// The given lines of this thread's `status`, as they are.
pub fn own_status(names: &[&str]) -> Verdict<Vec<String>> {
    names.iter().map(|name| crate::tools::status_field("thread-self", name)).collect()
}

/// A time as system calls take it.
pub fn timespec(time: Duration) -> libc::timespec {
    libc::timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) }
}

/// `futex` of the kinds whose fourth argument is a time.
pub fn futex_timed(word: &Word, (op, value, bits): (c_int, u32, u32), time: Option<Duration>, other: &Word) -> Outcome {
    let time = time.map(timespec);
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both words and the time are valid during the call.
    outcome(unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, value, time, other.as_ptr(), bits) })
}

/// `futex` without time and without second word.
pub fn futex(word: &Word, op: c_int, value: u32) -> Outcome {
    futex_timed(word, (op, value, u32::MAX), None, word)
}

/// `futex` of the kinds that move waiters to `other`, at most `moved` of them; `value` is compared where `op` says so.
pub fn requeue(word: &Word, (op, woken, moved, value): (c_int, u32, u32, u32), other: &Word) -> Outcome {
    let moved = moved as usize;
    // SAFETY: both words are valid during the call; the fourth argument is a number for these kinds.
    outcome(unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, woken, moved, other.as_ptr(), value) })
}

/// Waits until thread `tid` of this process is blocked in system call `nr`, or in the restart of one.
pub fn await_call(tid: i32, nr: c_long) -> Verdict {
    let path = format!("/proc/self/task/{tid}/syscall");
    await_that(&format!("thread {tid} in system call {nr}"), || {
        let text = std::fs::read_to_string(&path)?;
        let now = text.split_whitespace().next().and_then(|n| n.parse::<c_long>().ok());
        Ok(now == Some(nr) || now == Some(libc::SYS_restart_syscall))
    })
}

/// A thread that is blocked in a system call. It stays until its result is taken, so that the process's threads are the
/// same before and after.
pub struct Call<T> {
    nr: c_long,
    /// The thread's id.
    pub tid: i32,
    /// 1 when the call has returned, 2 when the thread may end.
    step: Arc<Word>,
    handle: JoinHandle<T>,
}

impl<T: Send + 'static> Call<T> {
    /// Runs `call` in a thread and returns when the thread is blocked in system call `nr`.
    pub fn start(nr: c_long, call: impl FnOnce() -> T + Send + 'static) -> Verdict<Call<T>> {
        let (send, receive) = std::sync::mpsc::channel();
        let step = Arc::new(Word::new());
        let own = Arc::clone(&step);
        let handle = spawn(move || {
            // The receiver lives until it has the tid.
            send.send(gettid()).unwrap_or_default();
            let result = call();
            own.set(1);
            own.wait_for(2);
            result
        })?;
        let tid = receive.recv()?;
        await_call(tid, nr)?;
        check("the call blocks", step.get() == 0)?;
        Ok(Call { nr, tid, step, handle })
    }

    /// Fails unless the thread is (or comes to be) blocked in its call again.
    pub fn still(&self) -> Verdict {
        std::thread::sleep(Duration::from_millis(20));
        check("the blocked call goes on", self.step.get() == 0)?;
        await_call(self.tid, self.nr)?;
        check("the blocked call still goes on", self.step.get() == 0)
    }

    /// What the call returned, which it must do soon.
    pub fn result(self) -> Verdict<T> {
        await_that("the end of the blocked call", || Ok(self.step.get() == 1))?;
        self.step.set(2);
        join(self.handle)
    }
}

/// Has a thread blocked in system call `nr` pass the gate, checks that it is still blocked, wakes it, and returns what
/// the call returned.
pub fn blocked<T: Send + 'static>(
    gate: &mut Gate,
    nr: c_long,
    call: impl FnOnce() -> T + Send + 'static,
    wake: impl FnOnce() -> Verdict,
) -> Verdict<T> {
    let caught = Call::start(nr, call)?;
    gate.checkpoint()?;
    caught.still()?;
    wake()?;
    caught.result()
}

thread_local! {
    static COUNT: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Has `number` threads count in thread-local memory, a step each `pause` (longer on a slow machine, whose CPUs would do
/// nothing but wake a thousand threads); every one must go on after the gate with the
/// same thread id, at the same address, and with nothing but its own steps.
pub fn count_in_threads(gate: &mut Gate, number: usize, pause: Duration) -> Verdict {
    let (shown, stop) = (Word::shared_many(number)?, Word::shared()?);
    // Squared: fewer are to wake in a time, and each takes longer.
    let pause = pause.mul_f64(slowness().powi(2));
    let mut threads = Vec::new();
    for shown in shown {
        threads.push(spawn(move || {
            let before = (gettid(), COUNT.with(|c| c.as_ptr() as usize));
            while stop.get() == 0 {
                check_eq("the count in thread-local memory", COUNT.get(), shown.get())?;
                COUNT.set(COUNT.get() + 1);
                shown.bump();
                std::thread::sleep(pause);
            }
            check_eq("thread id, address of the count", (gettid(), COUNT.with(|c| c.as_ptr() as usize)), before)
        })?);
    }
    shown.iter().for_each(|s| s.wait_for(2));
    gate.checkpoint()?;
    let before: Vec<u32> = shown.iter().map(Word::get).collect();
    shown.iter().zip(before).for_each(|(s, before)| s.wait_for(before + 2));
    stop.set(1);
    threads.into_iter().try_for_each(|thread| join(thread)?)
}
