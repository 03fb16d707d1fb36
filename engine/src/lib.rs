//! The Stasis engine: checkpoints running Linux process trees into image files and restores them.
//!
//! [`dump::run`] and [`restore::run`] are the two operations. Each takes typed [`options`] and returns a report or an
//! [`error::Error`], which says what was being done to which object, and what the user can do ([`error::Error::help`]).
//! The command line ([`cli`]) is a thin face of them. [`image`] reads, writes and shows the image files, [`check`] says
//! what this kernel and user allow.
//!
//! A dump that lets the tree run on, and later the restore of what it wrote (the directory must exist; the pids of the
//! tree must be free again by then):
//!
//! ```no_run
//! use stasis::options::{AfterDump, DumpOptions, RestoreOptions};
//! use stasis::sys::Pid;
//!
//! # fn main() -> stasis::error::Result<()> {
//! let mut options = DumpOptions::new(Pid::from_raw(4711));
//! options.common.images_dir = "images".into();
//! options.after = AfterDump::Run;
//! let dumped = stasis::dump::run(&options)?;
//! println!("{} processes, {} pages, frozen for {:?}", dumped.processes, dumped.pages, dumped.frozen);
//!
//! let mut options = RestoreOptions::default();
//! options.common.images_dir = "images".into();
//! let restored = stasis::restore::run(&options)?;
//! println!("process {} is back", restored.pid);
//! let status = stasis::restore::wait(restored.pid)?;
//! # drop(status);
//! # Ok(())
//! # }
//! ```
//!
//! Both block the calling thread, which is the tracer of the tree for the time: the kernel binds ptrace to a thread.
//! They need root, or the capabilities that [`check`] names.

mod aio;
pub mod cancel;
pub mod check;
pub mod cli;
pub mod core_image;
pub mod dump;
pub mod error;
pub mod fault;
pub mod guardian;
pub mod image;
pub mod kind;
pub mod log;
mod netlink;
mod ns;
pub mod options;
mod parallel;
pub mod proc;
pub mod refusals;
pub mod remote;
pub mod restore;
pub mod stats;
pub mod sys;
pub mod vma;
