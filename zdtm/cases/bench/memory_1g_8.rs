//! Shape of a benchmark: 1 GiB of incompressible memory in eight processes.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bench::{Roll, checksum, noise};

pub fn run(gate: &mut Gate) -> Verdict {
    let roll = Roll::new()?;
    let mut children = Vec::new();
    for number in 0..8 {
        children.push(gate.fork(|gate| {
            let memory = noise(128 << 20, number + 1);
            let before = checksum(&memory);
            roll.here()?;
            gate.wait();
            check_eq("the checksum", checksum(&memory), before)
        })?);
    }
    roll.call(children.len())?;
    gate.checkpoint()?;
    children.into_iter().try_for_each(crate::tools::wait_ok)
}
