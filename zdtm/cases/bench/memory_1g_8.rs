//! Shape of a benchmark: 1 GiB of incompressible memory in eight processes.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bench::{Roll, checksum, noise};
use crate::tools_tasks::Word;

pub fn run(gate: &mut Gate) -> Verdict {
    let roll = Roll::new()?;
    let passed = Word::shared()?;
    let mut children = Vec::new();
    for number in 0..8 {
        children.push(gate.fork(|gate| {
            let memory = noise(128 << 20, number + 1);
            let before = checksum(&memory);
            roll.here()?;
            gate.wait();
            passed.bump();
            check_eq("the checksum", checksum(&memory), before)
        })?);
    }
    roll.call(children.len())?;
    gate.checkpoint()?;
    let number = children.len() as u32;
    children.into_iter().try_for_each(crate::tools::wait_ok)?;
    check_eq("the children that lived on", passed.get(), number)
}
