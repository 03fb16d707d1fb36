//! Shape of a benchmark: a small process.
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};

pub fn run(gate: &mut Gate) -> Verdict {
    let value = std::hint::black_box(0x5ca1_ab1e_u32);
    gate.checkpoint()?;
    check_eq("a value on the stack", value, 0x5ca1_ab1e)
}
