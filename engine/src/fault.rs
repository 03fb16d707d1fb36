//! Failures on purpose: `--fault-at N` makes the N-th fault point that the engine passes fail, so that the tests can try
//! every step of a dump and of a restore. Without the option a point costs some loads.
//! The log names each step as it is reached.

use crate::error::{Doing, Result};
use crate::sys::Errno;
use std::sync::atomic::{AtomicU64, Ordering};

/// Points that are left to pass before one fails; 0 where none is to fail.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Has the `number`-th point from now on fail, counted from 1.
pub fn arm(number: u64) {
    LEFT.store(number, Ordering::SeqCst);
}

/// A point where the engine can fail; `name` says where.
///
/// # Errors
/// When its turn has come: EIO.
pub fn point(name: &str) -> Result<()> {
    errno(name).doing(|| format!("pass the fault point `{name}`"))
}

/// As [`point`], for code that has errors of its own.
///
/// # Errors
/// When its turn has come: EIO.
pub fn errno(name: &str) -> Result<(), Errno> {
    tracing::debug!("step: {name}");
    if LEFT.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    if LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) != Ok(1) {
        return Ok(());
    }
    tracing::info!("the fault point `{name}` fails");
    Err(Errno::EIO)
}
