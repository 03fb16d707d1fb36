//! The Stasis engine.
