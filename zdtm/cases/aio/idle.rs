//! A context of asynchronous I/O that was never used has its name again and works, also when its ring goes round.
use crate::gate::{Gate, Verdict};
use crate::tools_aio::Context;

pub fn run(gate: &mut Gate) -> Verdict {
    let context = Context::new(8)?;
    let file = std::fs::File::create(gate.path("written"))?;
    gate.checkpoint()?;
    context.check_works(&file, 300)
}
