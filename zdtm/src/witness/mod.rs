//! The witness: what a process tree looks like from outside, before a dump and after a restore.
//!
//! Numbers that a restore cannot keep (inodes of pipes and of anonymous objects, addresses of kernel objects) become
//! labels in the order of their appearance, so that what is compared is who shares what with whom. What depends on
//! timing (running or sleeping, time used, memory resident) is left out.

mod area;
mod compare;
mod fd;
mod identity;
mod task;

pub use compare::{Tolerance, summary};

use crate::process;
use nix::unistd::Pid;
use serde::Serialize;
use std::collections::BTreeMap;

/// A tree as it looked at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Witness {
    /// The processes by pid.
    pub tasks: BTreeMap<i32, task::Task>,
    /// Anonymous memory of the tree in KiB, each page counted once however many share it (Pss_Anon). Compared with
    /// some slack, and only upwards.
    #[serde(skip)]
    pub pss: u64,
}

impl Witness {
    /// Looks at the tree under `root`. A task that ends meanwhile is left out, or incomplete.
    pub fn take(root: Pid) -> Witness {
        let mut labels = identity::Labels::default();
        let pids = process::tree(root);
        let pss = pids.iter().map(|&pid| area::anonymous_pss(pid)).sum();
        let tasks = pids.into_iter().filter_map(|pid| Some((pid, task::Task::take(pid, &mut labels)?))).collect();
        Witness { tasks, pss }
    }
}
