//! The Stasis engine.

pub mod image;
