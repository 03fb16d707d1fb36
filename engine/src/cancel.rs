//! The request to stop: a signal to the engine, or the end of the process that started it. Long loops look at it.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Asks the running operation to stop. Async-signal-safe.
pub fn request() {
    REQUESTED.store(true, Ordering::SeqCst);
}

/// Whether the running operation was asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// An error when the running operation was asked to stop.
pub fn check() -> crate::error::Result<()> {
    if requested() { Err(crate::error::Error::Cancelled) } else { Ok(()) }
}
