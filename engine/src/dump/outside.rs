//! What the kernel tells about a stopped thread without ptrace: so all cores can ask at the same time.

use crate::error::{Doing, Result};
use crate::proc::status::{self, Status};
use crate::proc::{ProcDir, task};
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
    /// Its timer slack in nanoseconds.
    pub timer_slack: u64,
}

impl Outside {
    /// Asks about the thread `tid`.
    ///
    /// # Errors
    /// The thread is gone, or the kernel refused.
    pub fn read(tid: Pid) -> Result<Outside> {
        // By its own number, which lists no thread, but has the file for the slack that task/TID lacks.
        let dir = ProcDir::open(tid)?;
        let mut buffer = Vec::new();
        Ok(Outside {
            status: status::read(&dir, &mut buffer)?,
            robust_list: sys::task::robust_list(tid).doing(|| format!("read the robust list of task {tid}"))?,
            sched: sys::task::sched_attr(tid).doing(|| format!("read the scheduling of task {tid}"))?,
            io_priority: sys::task::io_priority(tid).doing(|| format!("read the I/O priority of task {tid}"))?,
            affinity: sys::task::affinity(tid).doing(|| format!("read the CPUs of task {tid}"))?,
            timer_slack: task::timer_slack(&dir, &mut buffer)?,
        })
    }
}
