//! What the kernel tells about stopped threads and processes without ptrace: so all cores can ask at the same time.

use super::freeze::Outline;
use crate::error::{Doing, Error, Result};
use crate::kind;
use crate::parallel;
use crate::proc::fdinfo::{self, FdInfo};
use crate::proc::smaps::{self, Area};
use crate::proc::status::{self, Status};
use crate::proc::{ProcDir, task};
use crate::refusals::Refusals;
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
    /// Asks about processes; nothing for those that have ended. No file of theirs is opened yet.
    ///
    /// # Errors
    /// A descriptor that must not be touched, a process that is gone, or the kernel refused.
    pub fn read_all(tree: &[&Outline], refusals: &mut Refusals) -> Result<Vec<Option<OutsideProcess>>> {
        let look = |process: &&Outline| (!process.is_zombie()).then(|| look(process)).transpose();
        let looks = parallel::map(tree, |process| Ok::<_, Error>(look(process)))?;
        let mut all = Vec::with_capacity(tree.len());
        for (process, look) in tree.iter().zip(looks) {
            let look = refusals.hear(process.pid, look)?.flatten();
            all.push(look.map(|look| look.heard(process.pid, refusals)).transpose()?);
        }
        Ok(all)
    }
}

/// A process as it was looked at.
struct Look {
    areas: Vec<Area>,
    /// For each descriptor what it is, or why it cannot be dumped.
    descriptors: Vec<Result<OutsideDescriptor>>,
}

impl Look {
    fn heard(self, pid: Pid, refusals: &mut Refusals) -> Result<OutsideProcess> {
        let descriptors = self.descriptors.into_iter().map(|one| refusals.hear(pid, one));
        let descriptors = descriptors.filter_map(Result::transpose).collect::<Result<_>>()?;
        Ok(OutsideProcess { areas: self.areas, descriptors })
    }
}

fn look(process: &Outline) -> Result<Look> {
    // A zombie leader's memory and table are gone; its threads still have them.
    let dir = process.dir.thread(process.speaker())?;
    let mut numbers = task::descriptors(&dir)?;
    numbers.sort_unstable();
    let of_number = |fd: i32| {
        let link = dir.readlink(&format!("fd/{fd}"))?;
        let info = fdinfo::read(&dir, fd, &mut Vec::new())?;
        kind::fanotify::check(process.speaker(), fd, &info)?;
        Ok(OutsideDescriptor { fd, link, info })
    };
    let descriptors = parallel::map(&numbers, |&fd| Ok::<_, Error>(of_number(fd)))?;
    Ok(Look { areas: smaps::read(&dir, &mut Vec::new())?, descriptors })
}
