//! The Stasis engine.

pub mod options;
