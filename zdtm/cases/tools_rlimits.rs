//! What cases of resource limits share: reading and setting them by number.

use crate::gate::Verdict;
use crate::tools_tasks::{must, outcome};
use std::ptr::{null, null_mut};

/// The soft and the hard limit of a resource.
pub fn get_limit(resource: u32) -> Verdict<[u64; 2]> {
    let mut now = [0u64; 2];
    // SAFETY: the kernel writes two 64-bit words.
    let done = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, null::<u64>(), now.as_mut_ptr()) };
    must("prlimit64", outcome(done))?;
    Ok(now)
}

/// Sets the soft and the hard limit of a resource.
pub fn set_limit(resource: u32, limits: [u64; 2]) -> Verdict {
    // SAFETY: the kernel reads two 64-bit words.
    let done = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, limits.as_ptr(), null_mut::<u64>()) };
    must(&format!("setting limit {resource} to {limits:?}"), outcome(done)).map(drop)
}
