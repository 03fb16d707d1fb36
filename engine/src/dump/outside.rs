//! What the kernel tells about stopped threads and processes without ptrace: so all cores can ask at the same time.

use super::freeze::Process;
use crate::error::{Doing, Result};
use crate::kind;
use crate::parallel;
use crate::proc::fdinfo::{self, FdInfo};
use crate::proc::smaps::{self, Area};
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

/// A process as it is seen from outside.
#[derive(Debug)]
pub struct OutsideProcess {
    /// Its areas.
    pub areas: Vec<Area>,
    /// Its descriptors, by number.
    pub descriptors: Vec<OutsideDescriptor>,
}

/// A descriptor as /proc shows it.
#[derive(Debug)]
pub struct OutsideDescriptor {
    /// Its number.
    pub fd: i32,
    /// What it links to.
    pub link: Vec<u8>,
    /// Its `fdinfo`.
    pub info: FdInfo,
}

impl OutsideProcess {
    /// Asks about a live process.
    ///
    /// # Errors
    /// It is gone, or the kernel refused.
    pub fn read(process: &Process) -> Result<OutsideProcess> {
        // A zombie leader's memory and table are gone; its threads still have them.
        let dir = process.dir.thread(process.speaker())?;
        let mut numbers = task::descriptors(&dir)?;
        numbers.sort_unstable();
        let descriptors = parallel::map(&numbers, |&fd| {
            let link = dir.readlink(&format!("fd/{fd}"))?;
            let info = fdinfo::read(&dir, fd, &mut Vec::new())?;
            kind::fanotify::check(process.speaker(), fd, &info)?;
            Ok(OutsideDescriptor { fd, link, info })
        })?;
        Ok(OutsideProcess { areas: smaps::read(&dir, &mut Vec::new())?, descriptors })
    }
}
