//! What a tree may not be: tied to what is outside it in ways that are not supported.

use super::freeze::Process;
use crate::error::{Error, Result};
use crate::options::DumpOptions;
use crate::proc::ProcDir;
use crate::sys::Pid;
use std::collections::HashSet;

/// Refuses trees that have ended, and those whose session is led from outside without `--shell-job`.
pub fn tree(processes: &[Process], options: &DumpOptions) -> Result<()> {
    let root = &processes[0];
    if root.is_zombie() {
        return Err(Error::state(format!("process {} has exited and cannot be dumped", root.pid)));
    }
    if processes.iter().any(|p| p.pid == nix::unistd::getpid()) {
        return Err(Error::state("the engine itself is in the tree to be dumped"));
    }
    if options.common.shell_job {
        return Ok(());
    }
    let pids: HashSet<Pid> = processes.iter().map(|p| p.pid).collect();
    for process in processes {
        let sid = process.stat.session;
        if pids.contains(&sid) {
            continue;
        }
        // A session whose leader is dead is made again. A leader outside of the pid namespace has no number.
        let leader = match sid.as_raw() {
            0 => Some("the leader".to_owned()),
            number => ProcDir::open(sid).ok().map(|_| format!("the leader {number}")),
        };
        if let Some(leader) = leader {
            let what = format!("{leader} of the session of process {} is outside the tree", process.pid);
            return Err(Error::state(what)
                .with_help("use --shell-job (-j) at dump and restore if the tree was started from a shell"));
        }
    }
    Ok(())
}
