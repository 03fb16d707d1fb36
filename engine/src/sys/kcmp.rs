//! kcmp(2): whether two tasks share a kernel object, with an order over them.

use super::{Pid, Result, check};
use std::cmp::Ordering;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum What {
    File = 0,
    Vm = 1,
    Files = 2,
    Fs = 3,
    Sighand = 4,
    Io = 5,
    Sysvsem = 6,
}

/// Compares an object of two tasks; for [`What::File`] the indexes are descriptor numbers. `Equal` means the same.
pub fn kcmp(a: Pid, b: Pid, what: What, index_a: u64, index_b: u64) -> Result<Ordering> {
    // SAFETY: kcmp takes five integers.
    let ret = check(unsafe { libc::syscall(libc::SYS_kcmp, a.as_raw(), b.as_raw(), what as i32, index_a, index_b) })?;
    Ok(order(ret))
}

/// Compares the file of a task's descriptor with one that our epoll set watches, in the order of [`What::File`]: the one
/// that was registered under the number `tfd`, of several such the `nth` in the order of fdinfo.
pub fn kcmp_watched(task: Pid, fd: i32, epoll: BorrowedFd<'_>, tfd: i32, nth: u32) -> Result<Ordering> {
    const KCMP_EPOLL_TFD: i32 = 7;
    let own = Pid::this().as_raw();
    // struct kcmp_epoll_slot: the set, the number, the index.
    let slot = [epoll.as_raw_fd() as u32, tfd as u32, nth];
    // SAFETY: kcmp reads the slot, which outlives the call.
    let ret = check(unsafe { libc::syscall(libc::SYS_kcmp, task.as_raw(), own, KCMP_EPOLL_TFD, fd as u64, &slot) })?;
    Ok(order(ret))
}

fn order(result: i64) -> Ordering {
    match result {
        0 => Ordering::Equal,
        1 => Ordering::Less,
        _ => Ordering::Greater,
    }
}
