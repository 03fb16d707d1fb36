//! What a tree may not be: tied to what is outside it in ways that are not supported.

use super::freeze::Outline;
use crate::error::{Error, Result};
use crate::options::DumpOptions;
use crate::proc::{ProcDir, stat, status};
use crate::refusals::Refusals;
use crate::sys::Pid;
use std::collections::HashSet;

/// Refuses roots that cannot be one: nobody, a thread, or what the engine itself descends from.
pub fn root(pid: Pid) -> Result<()> {
    let mut buffer = Vec::new();
    let status = match ProcDir::open(pid).and_then(|dir| status::read(&dir, &mut buffer)) {
        Err(e) if e.is_gone() => return Err(Error::state(format!("there is no process {pid}"))),
        other => other?,
    };
    let process = status.ids.tgid;
    if process != pid {
        return Err(Error::state(format!("{pid} is a thread of process {process}, and no process"))
            .with_help(format!("a dump is of whole processes: give {process}")));
    }
    let (proc, mut ancestor) = (ProcDir::root()?, nix::unistd::getpid());
    while ancestor != pid && ancestor.as_raw() > 0 {
        ancestor = match proc.read_with(&format!("{ancestor}/stat"), &mut buffer, stat::parse) {
            Err(e) if e.is_gone() => return Ok(()),
            other => other?.ppid,
        };
    }
    if ancestor.as_raw() == 0 {
        return Ok(());
    }
    Err(Error::state(format!("the tree of process {pid} contains the engine itself, which cannot stop itself"))
        .with_help("run the engine from outside of the tree: from another shell, or by `setsid --fork`"))
}

/// Refuses trees that have ended, and those whose session is led from outside without `--shell-job`.
pub fn tree(processes: &[&Outline], options: &DumpOptions, refusals: &mut Refusals) -> Result<()> {
    let root = processes[0];
    if root.is_zombie() {
        return Err(Error::state(format!("process {} has exited and cannot be dumped", root.pid)));
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
            let error = Error::state(what)
                .with_help("use --shell-job (-j) at dump and restore if the tree was started from a shell");
            refusals.hear(process.pid, Err::<(), _>(error))?;
        }
    }
    Ok(())
}
