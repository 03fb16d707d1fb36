//! What cases of event descriptors share: timerfds, epoll sets and pidfds by plain calls.

use crate::gate::{Verdict, check};
use crate::tools_files::owned;
use crate::tools_threads::timespec;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A timerfd.
pub fn timerfd(clock: i32, flags: i32) -> Verdict<OwnedFd> {
    // SAFETY: integers only.
    owned(unsafe { libc::timerfd_create(clock, flags) }.into())
}

/// Sets a timerfd.
pub fn set_timer(fd: &OwnedFd, flags: i32, value: Duration, interval: Duration) -> Result<(), Errno> {
    let new = libc::itimerspec { it_interval: timespec(interval), it_value: timespec(value) };
    // SAFETY: the structure outlives the call.
    Errno::result(unsafe { libc::timerfd_settime(fd.as_raw_fd(), flags, &new, std::ptr::null_mut()) }).map(drop)
}

/// A timerfd's time left and its interval.
pub fn timer_state(fd: &OwnedFd) -> Verdict<(Duration, Duration)> {
    let mut now = libc::itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(Duration::ZERO) };
    // SAFETY: the kernel writes one structure.
    Errno::result(unsafe { libc::timerfd_gettime(fd.as_raw_fd(), &mut now) })?;
    let time = |t: libc::timespec| Duration::new(t.tv_sec as u64, t.tv_nsec as u32);
    Ok((time(now.it_value), time(now.it_interval)))
}

/// A clock's time.
pub fn clock(id: i32) -> Verdict<Duration> {
    Ok(nix::time::clock_gettime(nix::time::ClockId::from_raw(id))?.into())
}

/// The number of the call by which the C library waits for an epoll set: epoll_wait(2), or epoll_pwait(2) where there is
/// no other.
pub fn wait_call() -> i64 {
    match std::env::consts::ARCH {
        "x86_64" => 232,
        "powerpc64" => 238,
        "s390x" => 251,
        _ => libc::SYS_epoll_pwait,
    }
}

/// An epoll set.
pub fn epoll() -> Verdict<OwnedFd> {
    // SAFETY: integers only.
    owned(unsafe { libc::epoll_create1(0) }.into())
}

/// Registers a descriptor by its number.
pub fn watch(set: &impl AsRawFd, fd: i32, events: i32, data: u64) -> Result<(), Errno> {
    control(set, libc::EPOLL_CTL_ADD, fd, events, data)
}

/// An epoll_ctl(2).
pub fn control(set: &impl AsRawFd, operation: i32, fd: i32, events: i32, data: u64) -> Result<(), Errno> {
    let mut event = libc::epoll_event { events: events as u32, u64: data };
    // SAFETY: the event outlives the call.
    Errno::result(unsafe { libc::epoll_ctl(set.as_raw_fd(), operation, fd, &mut event) }).map(drop)
}

/// What a set reports within `wait`: events and words, sorted by these.
pub fn reports(set: &impl AsRawFd, wait: Duration) -> Result<Vec<(i32, u64)>, Errno> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
    let (room, wait) = (events.len() as i32, wait.as_millis() as i32);
    // SAFETY: room for that many events.
    let n = Errno::result(unsafe { libc::epoll_wait(set.as_raw_fd(), events.as_mut_ptr(), room, wait) })?;
    let mut found: Vec<(i32, u64)> = events[..n as usize].iter().map(|e| (e.events as i32, e.u64)).collect();
    found.sort_by_key(|(_, data)| *data);
    Ok(found)
}

/// What a set reports at once.
pub fn ready(set: &impl AsRawFd) -> Result<Vec<(i32, u64)>, Errno> {
    reports(set, Duration::ZERO)
}

/// A pidfd; `flags` are PIDFD_*.
pub fn pidfd(pid: nix::unistd::Pid, flags: i32) -> Verdict<OwnedFd> {
    // SAFETY: integers only.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), flags) })
}

/// Sends a signal by a pidfd.
pub fn signal(pidfd: &OwnedFd, signal: i32) -> Result<(), Errno> {
    // SAFETY: integers and a null pointer, which means a plain signal.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, 0usize, 0) };
    Errno::result(done).map(drop)
}

/// What poll(2) says of a descriptor at once.
pub fn polled(fd: &impl AsRawFd) -> Result<i16, Errno> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN | libc::POLLOUT, revents: 0 };
    // SAFETY: one valid structure.
    Errno::result(unsafe { libc::poll(&mut poll, 1, 0) })?;
    Ok(poll.revents)
}

/// Fails unless `moment` of a clock has passed, and not long ago.
pub fn just_passed(what: &str, id: i32, moment: Duration, since: Instant) -> Verdict {
    let now = clock(id)?;
    let slack = crate::tools::patience() + since.elapsed();
    check(&format!("{what}: {now:?} is after {moment:?}, and not long"), now >= moment && now < moment + slack)
}
