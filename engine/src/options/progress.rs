//! How the engine tells its caller how many bytes it has written or read.

use std::fmt;
use std::sync::Arc;

/// Hears of one long transfer at a time. Called from several threads; an implementation must be quick.
pub trait Progress: Send + Sync {
    /// A transfer begins: `what` is done to `bytes` bytes (an estimate that may turn out too large or too small).
    fn start(&self, what: &str, bytes: u64);
    /// `bytes` more bytes are done.
    fn add(&self, bytes: u64);
    /// The transfer has ended, in success or failure.
    fn finish(&self);
}

/// The [`Progress`] of a caller who does not want to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn start(&self, _what: &str, _bytes: u64) {}
    fn add(&self, _bytes: u64) {}
    fn finish(&self) {}
}

/// A shared [`Progress`], so that options stay cloneable and printable.
#[derive(Clone)]
pub struct ProgressSink(Arc<dyn Progress>);

impl ProgressSink {
    /// Reports go to `progress`.
    pub fn new(progress: impl Progress + 'static) -> Self {
        ProgressSink(Arc::new(progress))
    }
}

impl Default for ProgressSink {
    fn default() -> Self {
        ProgressSink::new(NoProgress)
    }
}

impl std::ops::Deref for ProgressSink {
    type Target = dyn Progress;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressSink")
    }
}
