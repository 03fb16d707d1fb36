//! 64 MiB that no compression helps come back word for word.
//@ timeout: 60
use crate::gate::{Gate, Verdict};
use crate::tools_memory::{Area, page};

pub fn run(gate: &mut Gate) -> Verdict {
    let area = Area::private((64 << 20) / page())?;
    area.fill(0xfeed);
    gate.checkpoint()?;
    area.check_fill("64 MiB", 0xfeed)
}
