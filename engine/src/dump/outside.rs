//! What the kernel tells about a stopped thread without ptrace: so all cores can ask at the same time.

use crate::error::{Doing, Result};
use crate::proc::ProcDir;
use crate::proc::status::{self, Status};
use crate::sys::task::SchedAttr;
use crate::sys::{self, Pid, RemoteAddr};

/// A thread as it is seen from outside.
#[derive(Debug)]
pub struct Outside {
    /// Its `status`.
    pub status: Status,
    /// Its robust futex list: head and length in bytes.
    pub robust_list: (RemoteAddr, u64),
    /// Its scheduling.
    pub sched: SchedAttr,
    /// Its I/O priority, ioprio_get(2).
    pub io_priority: i32,
    /// The CPUs that it may run on, as the kernel's mask.
    pub affinity: Vec<u8>,
}

impl Outside {
    /// Asks about the thread `tid` of the process whose directory this is.
    ///
    /// # Errors
    /// The thread is gone, or the kernel refused.
    pub fn read(process: &ProcDir, tid: Pid) -> Result<Outside> {
        Ok(Outside {
            status: process.read_with(&format!("task/{tid}/status"), &mut Vec::new(), status::parse)?,
            robust_list: sys::task::robust_list(tid).doing(|| format!("read the robust list of task {tid}"))?,
            sched: sys::task::sched_attr(tid).doing(|| format!("read the scheduling of task {tid}"))?,
            io_priority: sys::task::io_priority(tid).doing(|| format!("read the I/O priority of task {tid}"))?,
            affinity: sys::task::affinity(tid).doing(|| format!("read the CPUs of task {tid}"))?,
        })
    }
}
