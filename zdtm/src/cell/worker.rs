//! The worker: opens a cell's namespaces, starts its init and ends it when told to.

use super::Spec;
use crate::sys;
use anyhow::{Context as _, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

/// The hidden command `__worker SPEC`.
pub fn main(path: &Path) -> anyhow::Result<ExitCode> {
    let spec = Spec::read(path)?;
    die_with_parent()?;
    // What the harness blocks, and its caller may ignore, is no business of the cell's.
    sys::fresh_signals().context("failed to reset signals")?;
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGCHLD);
    // Before the child is there, so that its end is not missed.
    signals.thread_block().context("failed to block signals")?;
    open_namespaces()?;
    let mut init = Command::new("/proc/self/exe")
        .arg("__init")
        .arg(path)
        .current_dir(&spec.dir)
        .stdin(Stdio::null())
        .spawn()
        .context("failed to start the cell's init")?;
    wait(&mut init, &signals)
}

/// Waits for the init; SIGTERM ends it. It is gone only when everything in its pid namespace is.
fn wait(init: &mut Child, signals: &SigSet) -> anyhow::Result<ExitCode> {
    loop {
        if let Some(status) = init.try_wait().context("failed to wait for the cell's init")? {
            return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if signals.wait().context("failed to wait for a signal")? == Signal::SIGTERM {
            init.kill().context("failed to end the cell's init")?;
        }
    }
}

fn open_namespaces() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC)
        .context("failed to open the cell's namespaces")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("failed to make the cell's mounts private")
}

/// Asks for SIGKILL when the thread that started this process ends; fails when it already has.
pub fn die_with_parent() -> anyhow::Result<()> {
    let parent = parent_id();
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("failed to ask for the parent death signal")?;
    // Inside a new pid namespace the parent is 0 from the first; what dies there before now takes the worker's way.
    if parent_id() != parent {
        bail!("the harness ended");
    }
    Ok(())
}
