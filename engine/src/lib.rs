//! The Stasis engine: checkpoints running Linux process trees into image files and restores them.
//!
//! [`dump`] and [`restore`] are the two operations; the command line and the RPC are thin faces of them.

pub mod cancel;
pub mod check;
pub mod cli;
pub mod core_x86;
pub mod dump;
pub mod error;
pub mod fault;
pub mod guardian;
pub mod image;
pub mod kind;
pub mod log;
pub mod options;
pub mod proc;
pub mod remote;
pub mod restore;
pub mod sys;
pub mod vma;
