//! A thousand threads beside the main thread count in thread-local memory.
//@ timeout: 60
use crate::gate::{Gate, Verdict};
use crate::tools_threads::count_in_threads;
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    count_in_threads(gate, 1000, Duration::from_millis(200))
}
