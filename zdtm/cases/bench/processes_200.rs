//! Shape of a benchmark: a tree of 200 small processes.
//@ timeout: 120
use crate::gate::{Gate, Verdict};
use crate::tools_bench::Roll;

pub fn run(gate: &mut Gate) -> Verdict {
    let roll = Roll::new()?;
    let mut children = Vec::new();
    for _ in 1..200 {
        children.push(gate.fork(|gate| {
            roll.here()?;
            gate.wait();
            Ok(())
        })?);
    }
    roll.call(children.len())?;
    gate.checkpoint()?;
    children.into_iter().try_for_each(crate::tools::wait_ok)
}
