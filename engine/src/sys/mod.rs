//! Every unsafe line of the engine.

pub mod probe;
