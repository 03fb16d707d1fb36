//! What the integration tests share: where the workspace and its binaries are, and its sources for the house rules.

pub mod source;

use std::path::{Path, PathBuf};

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
