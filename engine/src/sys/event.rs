//! signalfd(2), timerfd_create(2), epoll(7) and the clocks.

use super::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A signalfd that accepts the signals of `mask`, bit n-1 for signal n. Closed on exec.
pub fn signalfd(mask: u64) -> Result<OwnedFd> {
    let (mask, size) = (mask.to_ne_bytes(), 8usize);
    // SAFETY: the kernel reads the eight bytes of the mask.
    let fd = check(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, size, libc::SFD_CLOEXEC) })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// A timerfd. Closed on exec.
pub fn timerfd(clock: i32) -> Result<OwnedFd> {
    // SAFETY: timerfd_create takes two integers.
    let fd = check(unsafe { libc::timerfd_create(clock, libc::TFD_CLOEXEC) }.into())?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sets a timerfd; `flags` are TFD_TIMER_*, times are seconds and nanoseconds.
pub fn set_timer(fd: BorrowedFd<'_>, flags: i32, value: (u64, u64), interval: (u64, u64)) -> Result<()> {
    // struct __kernel_itimerspec: interval, value.
    let spec = [interval.0, interval.1, value.0, value.1];
    let nr = libc::SYS_timerfd_settime;
    // SAFETY: the structure outlives the call; the old one is not asked for.
    check(unsafe { libc::syscall(nr, fd.as_raw_fd(), flags, spec.as_ptr(), std::ptr::null::<u64>()) }).map(drop)
}

/// The time in nanoseconds until a timerfd expires next.
pub fn time_left(fd: BorrowedFd<'_>) -> Result<i64> {
    let mut spec = [0i64; 4];
    // SAFETY: room for a struct __kernel_itimerspec.
    check(unsafe { libc::syscall(libc::SYS_timerfd_gettime, fd.as_raw_fd(), spec.as_mut_ptr()) })?;
    Ok(spec[2].saturating_mul(1_000_000_000).saturating_add(spec[3]))
}

/// Sets the number of expirations that a timerfd has to report (TFD_IOC_SET_TICKS, 3.17).
pub fn set_ticks(fd: BorrowedFd<'_>, ticks: u64) -> Result<()> {
    let request = nix::request_code_write!(b'T', 0, size_of::<u64>());
    // SAFETY: the argument is one u64 that the kernel reads.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, &ticks) }.into()).map(drop)
}

/// A clock's time in nanoseconds.
pub fn now(clock: i32) -> Result<i64> {
    let time = nix::time::clock_gettime(nix::time::ClockId::from_raw(clock))?;
    Ok((time.tv_sec() as i64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec() as i64))
}

/// An epoll set. Closed on exec.
pub fn epoll() -> Result<OwnedFd> {
    // SAFETY: epoll_create1 takes an integer.
    let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The bytes of a `struct epoll_event`.
pub fn registration(events: u32, data: u64) -> Vec<u8> {
    let mut bytes = vec![0; size_of::<libc::epoll_event>()];
    bytes[..4].copy_from_slice(&events.to_ne_bytes());
    let at = std::mem::offset_of!(libc::epoll_event, u64);
    bytes[at..at + 8].copy_from_slice(&data.to_ne_bytes());
    bytes
}

/// A descriptor table of its own, a copy of ours: what is put at a number in it disturbs nobody else.
pub struct Table(());

impl Table {
    /// Runs `body` in a thread with such a table, which is gone afterwards.
    pub fn with<T: Send>(body: impl FnOnce(&mut Table) -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES)?;
                Ok(body(&mut Table(())))
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Another number for an open file, the lowest that is free.
    pub fn copy(&mut self, fd: i32) -> Result<i32> {
        // SAFETY: fcntl takes integers here.
        check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) }.into()).map(|fd| fd as i32)
    }

    /// Puts an open file at a number; what was there is closed.
    pub fn place(&mut self, fd: i32, at: i32) -> Result<()> {
        // SAFETY: dup3 takes integers; no other thread has this table.
        check(unsafe { libc::dup3(fd, at, libc::O_CLOEXEC) }.into()).map(drop)
    }

    /// Closes a number.
    pub fn close(&mut self, fd: i32) {
        // SAFETY: no other thread has this table.
        unsafe { libc::close(fd) };
    }

    /// Registers `fd` in the epoll set `epoll`, or changes how it is registered. `events` and `data` as for
    /// epoll_ctl(2).
    pub fn watch(&mut self, epoll: i32, fd: i32, events: u32, data: u64, change: bool) -> Result<()> {
        let operation = if change { libc::EPOLL_CTL_MOD } else { libc::EPOLL_CTL_ADD };
        let mut event = libc::epoll_event { events, u64: data };
        // SAFETY: the event outlives the call.
        check(unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) }.into()).map(drop)
    }

    /// Takes what the epoll set `epoll` has to report, one event at the most, without waiting; whether there was one.
    pub fn take(&mut self, epoll: i32) -> Result<bool> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        check(unsafe { libc::epoll_wait(epoll, &mut event, 1, 0) }.into()).map(|events| events > 0)
    }
}
