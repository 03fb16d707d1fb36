//! Shape of a benchmark: a tree of 200 small processes.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_bench::Roll;
use crate::tools_tasks::Word;

pub fn run(gate: &mut Gate) -> Verdict {
    let roll = Roll::new()?;
    let passed = Word::shared()?;
    let mut children = Vec::new();
    for _ in 1..200 {
        children.push(gate.fork(|gate| {
            roll.here()?;
            gate.wait();
            passed.bump();
            Ok(())
        })?);
    }
    roll.call(children.len())?;
    gate.checkpoint()?;
    let number = children.len() as u32;
    children.into_iter().try_for_each(crate::tools::wait_ok)?;
    check_eq("the children that lived on", passed.get(), number)
}
