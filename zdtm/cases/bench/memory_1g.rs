//! Shape of a benchmark: one process with 1 GiB of incompressible memory.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bench::{checksum, noise};

pub fn run(gate: &mut Gate) -> Verdict {
    let memory = noise(1 << 30, 1);
    let before = checksum(&memory);
    gate.checkpoint()?;
    check_eq("the checksum", checksum(&memory), before)
}
