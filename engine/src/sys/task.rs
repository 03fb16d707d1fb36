//! What the kernel tells about another task besides /proc.

use super::{Pid, RemoteAddr, Result, check};

/// The robust futex list of a thread: head and length in bytes.
pub fn robust_list(tid: Pid) -> Result<(RemoteAddr, u64)> {
    let mut head: u64 = 0;
    let mut len: u64 = 0;
    // SAFETY: both results are 8 bytes on every 64-bit CPU.
    check(unsafe { libc::syscall(libc::SYS_get_robust_list, tid.as_raw(), &raw mut head, &raw mut len) })?;
    Ok((RemoteAddr(head), len))
}

/// `struct sched_attr` of sched_getattr(2).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SchedAttr {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
    pub util_min: u32,
    pub util_max: u32,
}

impl SchedAttr {
    /// Whether the kernel's call tells and sets the nice value under this policy; under the others it is kept for the
    /// time when the thread comes back to a policy that heeds it.
    fn heeds_nice(&self) -> bool {
        let [fifo, rr, deadline] = [libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE].map(|policy| policy as u32);
        ![fifo, rr, deadline].contains(&self.policy)
    }
}

/// The scheduling attributes of a thread, with the nice value also under the policies that do not heed it.
pub fn sched_attr(tid: Pid) -> Result<SchedAttr> {
    let mut attr = SchedAttr::default();
    let size = size_of::<SchedAttr>();
    // SAFETY: the kernel writes at most `size` bytes.
    check(unsafe { libc::syscall(libc::SYS_sched_getattr, tid.as_raw(), &raw mut attr, size, 0) })?;
    if !attr.heeds_nice() {
        // SAFETY: getpriority takes integers; the call itself returns 20 less the nice value.
        let value = check(unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, tid.as_raw()) })?;
        attr.nice = 20 - value as i32;
    }
    Ok(attr)
}

/// Sets the scheduling attributes of a thread.
pub fn set_sched_attr(tid: Pid, attr: &SchedAttr) -> Result<()> {
    let attr = SchedAttr { size: size_of::<SchedAttr>() as u32, ..*attr };
    if !attr.heeds_nice() {
        // SAFETY: setpriority takes integers.
        check(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, tid.as_raw(), attr.nice) })?;
    }
    // SAFETY: the kernel reads `size` bytes.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, tid.as_raw(), &raw const attr, 0) }).map(drop)
}

/// The I/O priority of a thread (class and level as in ioprio_get(2)).
pub fn io_priority(tid: Pid) -> Result<i32> {
    const WHO_PROCESS: i32 = 1;
    // SAFETY: two integers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, tid.as_raw()) }).map(|p| p as i32)
}

/// Sets the I/O priority of a thread.
pub fn set_io_priority(tid: Pid, priority: i32) -> Result<()> {
    const WHO_PROCESS: i32 = 1;
    // SAFETY: three integers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, tid.as_raw(), priority) }).map(drop)
}

/// The CPUs that a thread may run on: the kernel's bit mask, in bytes.
pub fn affinity(tid: Pid) -> Result<Vec<u8>> {
    let mut mask = vec![0u8; 1024];
    // SAFETY: the kernel writes at most 1024 bytes and returns how many.
    let n = check(unsafe { libc::syscall(libc::SYS_sched_getaffinity, tid.as_raw(), mask.len(), mask.as_mut_ptr()) })?;
    mask.truncate(n as usize);
    Ok(mask)
}

/// Sets the CPUs that a thread may run on.
pub fn set_affinity(tid: Pid, mask: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads `len` bytes.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, tid.as_raw(), mask.len(), mask.as_ptr()) }).map(drop)
}

/// A resource limit of another process: soft and hard, `u64::MAX` for none.
pub fn rlimit(pid: Pid, resource: u32) -> Result<(u64, u64)> {
    let mut limit = [0u64; 2];
    let none = std::ptr::null::<u64>();
    // SAFETY: `limit` is a struct rlimit64; the new limit is null.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, pid.as_raw(), resource, none, limit.as_mut_ptr()) })?;
    Ok((limit[0], limit[1]))
}
