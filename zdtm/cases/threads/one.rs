//! One thread beside the main thread counts in thread-local memory.
use crate::gate::{Gate, Verdict};
use crate::tools_threads::count_in_threads;
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    count_in_threads(gate, 1, Duration::from_millis(1))
}
