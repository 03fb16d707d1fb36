//! Shape of a benchmark: a process of 1000 threads.
//@ timeout: 120
use crate::gate::{Gate, Verdict};

pub fn run(gate: &mut Gate) -> Verdict {
    crate::tools_bench::threads(gate, 1000)
}
