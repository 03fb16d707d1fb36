//! What the integration tests share: where the workspace and its binaries are, and its sources for the house rules.

pub mod engine;
pub mod source;
pub mod target;

use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's directory.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo's target directory, found from the test's own place in it (`TARGET/PROFILE/deps/TEST`).
///
/// # Errors
/// The test's path is not known, or it does not lie in a target directory.
pub fn target() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe()?;
    me.ancestors()
        .nth(3)
        .map(Path::to_owned)
        .ok_or_else(|| anyhow::anyhow!("{} is in no target directory", me.display()))
}

/// This program again, as the first process of a pid namespace with its own /proc and mounts: there nobody else takes
/// the pid of a process that was dumped, and orphans come to it. All processes in there end with it.
///
/// # Errors
/// The program's path is not known.
pub fn alone() -> anyhow::Result<Command> {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--mount", "--mount-proc", "--fork", "--kill-child"]).arg(std::env::current_exe()?);
    Ok(command)
}

/// Builds the harness, the engine and the cases in the target directory that the test lies in; the harness's path.
///
/// # Errors
/// The build fails.
pub fn harness() -> anyhow::Result<PathBuf> {
    let target = target()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "zdtm", "--target-dir"])
        .arg(&target)
        .current_dir(root())
        .status()
        .context("failed to start cargo")?;
    let harness = target.join("release/zdtm");
    if !status.success() || !Command::new(&harness).arg("build").status().context("failed to build")?.success() {
        bail!("the build failed");
    }
    Ok(harness)
}
