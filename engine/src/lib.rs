//! The Stasis engine.

pub mod proc;
