//! kcmp(2): whether two tasks share a kernel object, with an order over them.

use super::{Pid, Result, check};
use std::cmp::Ordering;

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
    Ok(match ret {
        0 => Ordering::Equal,
        1 => Ordering::Less,
        _ => Ordering::Greater,
    })
}
