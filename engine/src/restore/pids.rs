//! The pids of the images must be free before anything is made. A process that has ended keeps its pid until its parent
//! has waited for it, and a parent may be late: such a pid is waited for.

use super::load::Images;
use crate::error::{Error, Result};
use crate::proc::stat::{self, Stat};
use crate::proc::{ProcDir, task};
use crate::sys::{self, Errno, Pid};
use std::time::{Duration, Instant};

/// How long a process that has ended may keep its pid: pid 1 of some containers waits for orphans once a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// Waits until the processes that have ended have given the pids of the images back.
///
/// # Errors
/// A pid is in use.
pub fn await_free(images: &Images) -> Result<()> {
    let started = Instant::now();
    for task in &images.tasks {
        let pid = task.pid();
        while let Some(holder) = stat_of(pid) {
            if !matches!(holder.state, b'Z' | b'X') || started.elapsed() > PATIENCE {
                return Err(Error::state(format!("pid {pid} is taken: {}", holder_of(pid))).with_help(
                    "wait until that process is gone and its parent has waited for it, or restore in a new pid namespace",
                ));
            }
            crate::cancel::check()?;
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}

/// Makes a process with the pid `pid`. It may be taken although no process has it: as the group or the session of a
/// process that has ended and is not waited for yet; or by nobody, as one that is being waited for leaves /proc before
/// its number is free (release_task in Linux 6.18). Then it is tried again.
///
/// # Errors
/// As `make`: EEXIST where the pid stays taken.
pub fn when_given_back<T>(pid: Pid, mut make: impl FnMut() -> sys::Result<T>) -> sys::Result<T> {
    let started = Instant::now();
    loop {
        match make() {
            Err(Errno::EEXIST) if started.elapsed() < PATIENCE && !crate::cancel::requested() => {
                if holder(pid).is_some_and(|stat| !matches!(stat.state, b'Z' | b'X')) {
                    return Err(Errno::EEXIST);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            made => return made,
        }
    }
}

/// Who has a pid, in words: a process, or one whose group or session has that number.
pub fn holder_of(pid: Pid) -> String {
    match holder(pid) {
        Some(stat) if stat.pid == pid => describe(&stat),
        Some(stat) => format!("it is the group or the session of {}", describe(&stat)),
        None => "/proc does not show by whom".to_owned(),
    }
}

/// The process that has a pid, or one whose group or session has that number; one that lives before one that has ended.
fn holder(pid: Pid) -> Option<Stat> {
    if let Some(stat) = stat_of(pid) {
        return Some(stat);
    }
    let all = task::processes().unwrap_or_default().into_iter().filter_map(stat_of);
    let of_group = all.filter(|stat| stat.pgrp == pid || stat.session == pid);
    of_group.min_by_key(|stat| matches!(stat.state, b'Z' | b'X'))
}

fn describe(stat: &Stat) -> String {
    let name = String::from_utf8_lossy(&stat.comm);
    format!("process {} ({name}, state {}, child of {})", stat.pid, char::from(stat.state), stat.ppid)
}

fn stat_of(pid: Pid) -> Option<Stat> {
    stat::read(&ProcDir::open(pid).ok()?, &mut Vec::new()).ok()
}
