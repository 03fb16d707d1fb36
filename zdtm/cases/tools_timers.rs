//! What cases of timers share: interval timers and POSIX timers by plain system calls, so that ids are the kernel's.

use crate::gate::{Verdict, check_eq};
use crate::tools_tasks::{must, outcome};
use crate::tools_threads::timespec;
use std::ffi::c_int;
use std::time::Duration;

/// An interval timer's time left and its interval.
pub fn get_itimer(which: c_int) -> Verdict<(Duration, Duration)> {
    let zero = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut now = libc::itimerval { it_interval: zero, it_value: zero };
    // SAFETY: the kernel writes one structure.
    must("getitimer", outcome(unsafe { libc::syscall(libc::SYS_getitimer, which, &raw mut now) }))?;
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    Ok((time(now.it_value), time(now.it_interval)))
}

/// Arms an interval timer.
pub fn set_itimer(which: c_int, value: Duration, interval: Duration) -> Verdict {
    let time = |t: Duration| libc::timeval { tv_sec: t.as_secs() as i64, tv_usec: i64::from(t.subsec_micros()) };
    let new = libc::itimerval { it_interval: time(interval), it_value: time(value) };
    let none = std::ptr::null_mut::<libc::itimerval>();
    // SAFETY: the kernel reads one structure.
    must("setitimer", outcome(unsafe { libc::syscall(libc::SYS_setitimer, which, &raw const new, none) })).map(drop)
}

/// How a POSIX timer tells that it ran out.
#[derive(Clone, Copy, Debug)]
pub enum Notify {
    /// Not at all.
    None,
    /// A signal with a value for the process.
    Signal(i32, u64),
    /// A signal with a value for one thread.
    Thread(i32, u64, i32),
}

/// A POSIX timer, by the kernel's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer(pub i32);

impl Timer {
    /// Makes a timer.
    pub fn new(clock: libc::clockid_t, notify: Notify) -> Verdict<Timer> {
        // SAFETY: an all-zero event is valid.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        let (kind, signal, value, thread) = match notify {
            Notify::None => (libc::SIGEV_NONE, 0, 0, 0),
            Notify::Signal(signal, value) => (libc::SIGEV_SIGNAL, signal, value, 0),
            Notify::Thread(signal, value, thread) => (libc::SIGEV_THREAD_ID, signal, value, thread),
        };
        (event.sigev_notify, event.sigev_signo, event.sigev_notify_thread_id) = (kind, signal, thread);
        event.sigev_value.sival_ptr = value as usize as *mut _;
        let mut id: i32 = -1;
        // SAFETY: the kernel reads the event and writes the id.
        let done = unsafe { libc::syscall(libc::SYS_timer_create, clock, &raw const event, &raw mut id) };
        must("timer_create", outcome(done))?;
        Ok(Timer(id))
    }

    /// Arms the timer: in `value` from now, or at the time `value` of its clock where `absolute`.
    pub fn set(self, absolute: bool, value: Duration, interval: Duration) -> Verdict {
        let new = libc::itimerspec { it_interval: timespec(interval), it_value: timespec(value) };
        let none = std::ptr::null_mut::<libc::itimerspec>();
        let flags = if absolute { libc::TIMER_ABSTIME } else { 0 };
        // SAFETY: the kernel reads one structure.
        let done = unsafe { libc::syscall(libc::SYS_timer_settime, self.0, flags, &raw const new, none) };
        must("timer_settime", outcome(done)).map(drop)
    }

    /// The time left and the interval.
    pub fn get(self) -> Verdict<(Duration, Duration)> {
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let mut now = libc::itimerspec { it_interval: zero, it_value: zero };
        // SAFETY: the kernel writes one structure.
        must("timer_gettime", outcome(unsafe { libc::syscall(libc::SYS_timer_gettime, self.0, &raw mut now) }))?;
        let time = |t: libc::timespec| Duration::new(t.tv_sec as u64, t.tv_nsec as u32);
        Ok((time(now.it_value), time(now.it_interval)))
    }

    /// Deletes the timer.
    pub fn delete(self) -> Verdict {
        // SAFETY: the call takes a number only.
        check_eq("timer_delete", outcome(unsafe { libc::syscall(libc::SYS_timer_delete, self.0) }), (0, 0))
    }
}

/// The timer ids of this process, as /proc lists them.
pub fn timer_ids() -> Verdict<Vec<i32>> {
    let text = std::fs::read_to_string("/proc/self/timers")?;
    let mut ids: Vec<i32> = text.lines().filter_map(|l| l.strip_prefix("ID: ")?.trim().parse().ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}
