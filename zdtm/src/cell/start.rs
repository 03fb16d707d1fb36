//! Becomes a case: a session, namespaces, default signal actions, no descriptors but the standard ones, then exec.

use crate::cli::{Flavour, Session};
use crate::sys;
use anyhow::Context as _;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The variable that tells a case by what its own time limits are multiplied.
pub const PATIENCE: &str = "ZDTM_PATIENCE";

/// The hidden command `__start --session SESSION --flavour FLAVOUR CASES CASE DIR`; returns only when it failed.
pub fn main((session, flavour): (Session, Flavour), cases: &Path, case: &str, dir: &Path) -> anyhow::Result<ExitCode> {
    if session == Session::Own {
        nix::unistd::setsid().context("failed to make a session")?;
    }
    if session == Session::Terminal {
        super::terminal::come_to_front().context("failed to come to the foreground")?;
    }
    if flavour == Flavour::Ns {
        unshare(CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS).context("failed to open the case's namespaces")?;
    }
    umask(Mode::from_bits_truncate(0o022));
    sys::fresh_signals().context("failed to reset signals")?;
    sys::close_on_exec_from(3).context("failed to close descriptors")?;
    let mut command = Command::new(cases);
    command.arg(case).arg("--dir").arg(dir).current_dir(dir).env_clear().env("LANG", "C.UTF-8");
    for name in ["PATH", PATIENCE] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    Err(command.exec()).with_context(|| format!("failed to execute {}", cases.display()))
}
