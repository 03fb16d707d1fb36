//! The Stasis engine.

pub mod check;
pub mod cli;
pub mod image;
pub mod log;
pub mod options;
pub mod sys;
