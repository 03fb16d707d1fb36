//! A line of descent of 20 levels.
use crate::gate::{Gate, Verdict};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, stay};

fn level(gate: &mut Gate, arrived: &Word, depth: u32) -> Verdict {
    let below = if depth < 20 { Some(child(gate, |gate| level(gate, arrived, depth + 1))?) } else { None };
    stay(gate, arrived)?;
    below.map_or(Ok(()), wait_ok)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let top = child(gate, |gate| level(gate, arrived, 1))?;
    arrived.wait_for(20);
    gate.checkpoint()?;
    wait_ok(top)
}
