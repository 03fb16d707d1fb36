//! KVM, which is used only where a boot has proved that it works: a /dev/kvm that opens may still not run a kernel.

use crate::cache::Cache;
use crate::recipe::Recipe;
use anyhow::Context as _;
use std::fs::{self, File};
use std::time::Duration;

/// A boot by the host's own CPU takes no longer, if it works.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Holds the host's boot in which KVM failed.
const FAILED: &str = "kvm-failed";

/// Whether the machine could run by KVM, and did not fail to since the host was booted.
pub fn worth_trying(cache: &Cache, recipe: &Recipe) -> bool {
    recipe.name == std::env::consts::ARCH
        && File::options().read(true).write(true).open("/dev/kvm").is_ok()
        && fs::read_to_string(cache.path(FAILED)).ok() != boot_id()
}

/// Keeps later runs from trying.
pub fn remember_failure(cache: &Cache) -> anyhow::Result<()> {
    eprintln!("qemu: no machine boots by /dev/kvm here; it is emulated from now on");
    fs::write(cache.path(FAILED), boot_id().unwrap_or_default()).context("failed to note that KVM does not work")
}

fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}
