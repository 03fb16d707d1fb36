//! What can go wrong while reading /proc: the file could not be read, or its text was not understood.

use std::io;
use std::path::PathBuf;

/// The result of reading a file of /proc.
pub type Result<T, E = ProcError> = std::result::Result<T, E>;

/// How much of an offending text an error repeats, bytes.
const SHOWN: usize = 80;

/// A text that is not what the kernel writes in this file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found \"{found}\"")]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// What should have stood there.
    pub expected: &'static str,
    /// What stood there: at most 80 bytes, everything but printable ASCII escaped.
    pub found: String,
}

impl ParseError {
    /// An error at `line`, which shows the beginning of `found`.
    pub(super) fn new(line: usize, expected: &'static str, found: &[u8]) -> Self {
        let shown = found.get(..SHOWN).unwrap_or(found);
        Self { line, expected, found: shown.escape_ascii().to_string() }
    }
}

/// A file of /proc that could not be read or understood.
#[derive(Debug, thiserror::Error)]
pub enum ProcError {
    /// The kernel refused a call on the file.
    #[error("failed to {what} {}", path.display())]
    Io {
        /// What was being done: `open`, `read`, `list`, `read the link`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason the kernel gave.
        source: io::Error,
    },
    /// The file's text was not understood.
    #[error("failed to parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where in it, and what was expected there.
        source: ParseError,
    },
}

impl ProcError {
    /// Whether the error says that the task is gone (ESRCH), or that it or its file does not exist (ENOENT).
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Io { source, .. } => matches!(source.raw_os_error(), Some(libc::ESRCH | libc::ENOENT)),
            Self::Parse { .. } => false,
        }
    }

    /// Whether the caller lacks the right to read the file (EACCES, EPERM).
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Io { source, .. } => matches!(source.raw_os_error(), Some(libc::EACCES | libc::EPERM)),
            Self::Parse { .. } => false,
        }
    }
}
