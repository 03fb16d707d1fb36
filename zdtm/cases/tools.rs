//! What several cases need: reading /proc, waiting for children, small wrappers of calls that nix lacks.

use crate::gate::{Verdict, check_eq, fail};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::time::Duration;

/// A field of `/proc/PID/status` (`NAME:\tvalue`), trimmed.
pub fn status_field(pid: &str, name: &str) -> Verdict<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    match text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')) {
        Some(value) => Ok(value.trim().to_owned()),
        None => fail(format!("/proc/{pid}/status has no {name}")),
    }
}

/// How long a case waits for what must come: twenty seconds, more on slow machines.
pub fn patience() -> Duration {
    Duration::from_secs(20).mul_f64(slowness())
}

/// How many times slower than usual this machine is taken to be.
pub fn slowness() -> f64 {
    std::env::var("ZDTM_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0)
}

/// Waits for a child that must exit with code 0.
pub fn wait_ok(child: Pid) -> Verdict {
    check_eq("the child's status", waitpid(child, None)?, WaitStatus::Exited(child, 0))
}
