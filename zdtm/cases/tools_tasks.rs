//! What cases of tasks share: words in shared memory, children that die with their parent, waiting for states.

use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools::patience;
use nix::unistd::{Pid, getpgrp, getpid, getppid, getsid};
use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a state that must come is waited for.
/// What a system call returned, and its errno (0 where it succeeded).
pub type Outcome = (i64, i32);

/// Pairs the value a call of the C library returned with its errno.
pub fn outcome(ret: impl Into<i64>) -> Outcome {
    let ret = ret.into();
    (ret, if ret == -1 { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 })
}

/// Fails unless `outcome` is a success; `what` names the call.
#[track_caller]
pub fn must(what: &str, outcome: Outcome) -> Verdict<i64> {
    check_eq(&format!("the errno of {what}"), outcome.1, 0)?;
    Ok(outcome.0)
}

/// A word that tasks wait on as a futex. `shared` makes it in memory that children inherit.
#[repr(transparent)]
pub struct Word(AtomicU32);

impl Word {
    /// A word that is zero, of this process only.
    pub const fn new() -> Word {
        Word(AtomicU32::new(0))
    }

    /// A word that is zero and shared with the children made later.
    pub fn shared() -> Verdict<&'static Word> {
        Ok(&Word::shared_many(1)?[0])
    }

    /// `count` words that are zero and shared with the children made later.
    pub fn shared_many(count: usize) -> Verdict<&'static [Word]> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping at an address of the kernel's choice; it is never unmapped.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), count * size_of::<Word>(), prot, flags, -1, 0) };
        check("mapping of shared words", at != libc::MAP_FAILED)?;
        // SAFETY: the mapping is page aligned, zeroed, large enough for `count` words and lives until the process ends.
        Ok(unsafe { std::slice::from_raw_parts(at.cast::<Word>(), count) })
    }

    /// Where the word lies, for a raw futex call.
    pub fn as_ptr(&self) -> *mut u32 {
        self.0.as_ptr()
    }

    pub fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Stores `value` and wakes all waiters.
    pub fn set(&self, value: u32) {
        self.0.store(value, Ordering::SeqCst);
        self.wake();
    }

    /// Adds one and wakes all waiters; returns the new value.
    pub fn bump(&self) -> u32 {
        let value = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake();
        value
    }

    /// Waits until the word is at least `value`.
    pub fn wait_for(&self, value: u32) {
        loop {
            let now = self.get();
            if now >= value {
                return;
            }
            self.futex(libc::FUTEX_WAIT, now);
        }
    }

    fn wake(&self) {
        self.futex(libc::FUTEX_WAKE, i32::MAX as u32);
    }

    fn futex(&self, op: c_int, value: u32) {
        let null = std::ptr::null::<libc::timespec>();
        // SAFETY: the word is a valid, aligned u32 of this process; the kernel only reads it.
        unsafe { libc::syscall(libc::SYS_futex, self.as_ptr(), op, value, null, null, 0u32) };
    }
}

/// A `prctl` whose arguments are numbers.
pub fn prctl(operation: c_int, value: u64) -> Outcome {
    // SAFETY: callers pass operations that take a number, so the kernel touches no memory of ours.
    outcome(unsafe { libc::prctl(operation, value, 0u64, 0u64, 0u64) })
}

/// Has the kernel kill this task when its parent dies: nothing is left of a case that fails.
pub fn die_with_parent() -> Verdict {
    must("PR_SET_PDEATHSIG", prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64)).map(drop)
}

/// `Gate::fork` of a child that dies with its parent.
pub fn child(gate: &mut Gate, body: impl FnOnce(&mut Gate) -> Verdict) -> Verdict<Pid> {
    gate.fork(|gate| {
        die_with_parent()?;
        body(gate)
    })
}

/// Forks with `clone3`: `flags` without CLONE_VM, any `exit_signal`, and the child's pid where `pid` is not 0.
pub fn clone_child(
    gate: &mut Gate,
    (flags, exit_signal, pid): (c_int, c_int, i32),
    body: impl FnOnce(&mut Gate) -> Verdict,
) -> Verdict<Pid> {
    // struct clone_args (linux/sched.h), which libc lacks on some CPUs: flags first, exit_signal fifth, then set_tid and
    // its size behind stack, stack_size and tls.
    let mut args = [0u64; 11];
    (args[0], args[4]) = (flags as u64, exit_signal as u64);
    if pid != 0 {
        (args[8], args[9]) = (&raw const pid as u64, 1);
    }
    // SAFETY: without CLONE_VM the child runs on a copy of this single thread's state, as after a fork.
    match must("clone3", outcome(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) }))? {
        0 => {
            let verdict = body(gate);
            if let Err(failure) = &verdict {
                eprintln!("a cloned child failed: {failure}");
            }
            // SAFETY: _exit only ends the process; a child must not run the parent's exit handlers.
            unsafe { libc::_exit(i32::from(verdict.is_err())) }
        }
        child => Ok(Pid::from_raw(child as i32)),
    }
}

/// `waitpid` with the raw status; the pid is 0 where WNOHANG found nothing, -1 with the errno where it failed.
pub fn wait_status(pid: i32, options: c_int) -> (i64, i32) {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the kernel to write to.
    match outcome(unsafe { libc::waitpid(pid, &mut status, options) }) {
        (-1, errno) => (-1, errno),
        (got, _) => (got, status),
    }
}

/// The child's end as `waitid` tells it, without taking it: (si_code, si_status, si_uid).
pub fn peek_end(pid: Pid) -> Verdict<(i32, i32, u32)> {
    // SAFETY: an all-zero siginfo is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOWAIT | libc::__WALL;
    // SAFETY: `info` is a valid place for the kernel to write to.
    must("waitid", outcome(unsafe { libc::waitid(libc::P_PID, pid.as_raw() as u32, &mut info, options) }))?;
    // SAFETY: waitid filled the fields of a SIGCHLD.
    let (found, status, uid) = unsafe { (info.si_pid(), info.si_status(), info.si_uid()) };
    check_eq("the pid that waitid found", found, pid.as_raw())?;
    Ok((info.si_code, status, uid))
}

/// This task's pid, parent, process group and session.
pub fn ids() -> Verdict<[Pid; 4]> {
    Ok([getpid(), getppid(), getpgrp(), getsid(None)?])
}

/// Says that this task has arrived, waits at the gate, and checks that its ids are what they were.
pub fn stay(gate: &mut Gate, arrived: &Word) -> Verdict {
    let before = ids()?;
    arrived.bump();
    gate.wait();
    check_eq("pid, ppid, pgid, sid", ids()?, before)
}

/// The fields of a `stat` file of /proc after the name: 0 is the state, 1 the parent, …
pub fn stat_fields(path: &str) -> Verdict<Vec<String>> {
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    match text.rsplit_once(") ") {
        Some((_, rest)) => Ok(rest.split_whitespace().map(str::to_owned).collect()),
        None => fail(format!("{path} is {text:?}")),
    }
}

/// The state letter of a task.
pub fn task_state(pid: Pid) -> Verdict<String> {
    Ok(stat_fields(&format!("/proc/{pid}/stat"))?[0].clone())
}

/// Waits until `holds` returns true; `what` says what it waits for.
pub fn await_that(what: &str, mut holds: impl FnMut() -> Verdict<bool>) -> Verdict {
    let (start, patience) = (Instant::now(), patience());
    while !holds()? {
        if start.elapsed() > patience {
            return fail(format!("{what} did not come within {patience:?}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Waits until the task is in `state` (a letter of `stat`).
pub fn await_state(pid: Pid, state: &str) -> Verdict {
    await_that(&format!("state {state} of {pid}"), || Ok(task_state(pid)? == state))
}

/// This thread's id.
pub fn gettid() -> i32 {
    nix::unistd::gettid().as_raw()
}
