//! Parsers of /proc: what the kernel tells about tasks, read from outside and without stopping anything.
//!
//! Each module has pure functions over bytes (`parse`) and, on top, readers that take a [`ProcDir`]. A parser never
//! panics: text it does not understand is a [`ParseError`] that names the line, what was expected and what was found.

mod dir;
mod error;
#[cfg(test)]
mod tests;
mod text;
mod vmflags;

pub mod fdinfo;
pub mod locks;
pub mod maps;
pub mod mountinfo;
pub mod notify;
pub mod pagemap;
pub mod smaps;
pub mod stat;
pub mod status;
pub mod task;
pub mod thp;
pub mod timers;
pub mod uring;

pub use dir::ProcDir;
pub use error::{ParseError, ProcError, Result};
