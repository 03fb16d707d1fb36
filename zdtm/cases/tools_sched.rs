//! What cases of scheduling share: the kernel's scheduling attributes.

use crate::gate::{Verdict, check_eq};
use crate::tools_tasks::outcome;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The kernel's `struct sched_attr` (its first size; sched_setattr(2)); times are in ns.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

impl Default for Attributes {
    fn default() -> Self {
        let size = size_of::<Attributes>() as u32;
        Attributes { size, policy: 0, flags: 0, nice: 0, priority: 0, runtime: 0, deadline: 0, period: 0 }
    }
}

/// The attributes of this thread.
pub fn own_attributes() -> Verdict<Attributes> {
    let mut now = Attributes::default();
    // SAFETY: the kernel writes at most the size given.
    let done = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut now, size_of_val(&now), 0) };
    check_eq("sched_getattr", outcome(done), (0, 0))?;
    Ok(now)
}

/// Sets the attributes of this thread.
pub fn set_own_attributes(wanted: &Attributes) -> Verdict {
    // SAFETY: the kernel reads the size that the structure names.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(wanted), 0) };
    check_eq("sched_setattr", outcome(done), (0, 0))
}

/// Has this thread run on each processor that it may run on, and look at something there.
pub fn on_each_processor(mut look: impl FnMut(u32) -> Verdict) -> Verdict {
    let myself = Pid::from_raw(0);
    let allowed = sched_getaffinity(myself)?;
    for cpu in (0..CpuSet::count()).filter(|c| allowed.is_set(*c).unwrap_or(false)) {
        let mut one = CpuSet::new();
        one.set(cpu)?;
        sched_setaffinity(myself, &one)?;
        look(cpu as u32)?;
    }
    Ok(sched_setaffinity(myself, &allowed)?)
}
