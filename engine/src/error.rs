//! What can go wrong, in words for the person whose processes these are: what was being done, to which object, why it
//! failed, and what can be done about it.

use crate::sys::{Errno, Pid};
use std::io;

/// The result of the engine's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of a dump, a restore or a check.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused something.
    #[error("failed to {doing}: {}", describe(.errno))]
    Kernel {
        /// What was being done, with pid, descriptor, path or address.
        doing: String,
        /// The kernel's reason.
        errno: Errno,
        /// What the user can do.
        help: Option<String>,
    },
    /// The tree holds an object that cannot be dumped.
    #[error("{object} cannot be dumped: {reason}")]
    Unsupported {
        /// The object, with the pid and the descriptor or address that holds it.
        object: String,
        /// Why.
        reason: String,
        /// What the user can do.
        help: Option<String>,
    },
    /// A call in another task failed.
    #[error("task {task}: {call} failed: {}", describe(.errno))]
    Call {
        /// The task that made the call.
        task: Pid,
        /// The call and its arguments.
        call: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// A task or its surroundings are not as they have to be.
    #[error("{what}")]
    State {
        /// What is wrong.
        what: String,
        /// What the user can do.
        help: Option<String>,
    },
    /// An image is wrong.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// A file of /proc is not as the kernel documents it.
    #[error(transparent)]
    Proc(#[from] crate::proc::ProcError),
    /// The operation was asked to stop.
    #[error("interrupted; nothing was changed")]
    Cancelled,
}

impl Error {
    /// What the user can do about it, if anything is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Kernel { help, .. } | Error::Unsupported { help, .. } | Error::State { help, .. } => help.clone(),
            Error::Image(e) => e.help().map(Into::into),
            Error::Call { .. } | Error::Proc(_) | Error::Cancelled => None,
        }
    }

    /// The same error with advice, where it has none yet.
    pub fn with_help(mut self, advice: impl Into<String>) -> Error {
        if let Error::Kernel { help, .. } | Error::Unsupported { help, .. } | Error::State { help, .. } = &mut self {
            help.get_or_insert_with(|| advice.into());
        }
        self
    }

    /// Whether it may come of a task, descriptor or area that ended while it was looked at.
    pub fn is_of_something_gone(&self) -> bool {
        match self {
            Error::Kernel { errno, .. } => matches!(errno, Errno::EBADF | Errno::ENOENT | Errno::ESRCH),
            Error::Proc(e) => e.is_gone(),
            _ => false,
        }
    }

    /// A state that should not be.
    pub fn state(what: impl Into<String>) -> Error {
        Error::State { what: what.into(), help: None }
    }

    /// An object that cannot be dumped.
    pub fn unsupported(object: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Unsupported { object: object.into(), reason: reason.into(), help: None }
    }
}

/// Says what was being done when the kernel refused it.
pub trait Doing<T> {
    /// Turns the kernel's error into ours; `what` follows "failed to".
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| Error::Kernel { doing: what().into(), errno, help: None })
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| {
            let doing = what().into();
            match e.raw_os_error() {
                Some(raw) => Error::Kernel { doing, errno: Errno::from_raw(raw), help: None },
                None => Error::State { what: format!("failed to {doing}: {e}"), help: None },
            }
        })
    }
}

fn describe(errno: &Errno) -> String {
    format!("{} ({errno:?})", errno.desc())
}
