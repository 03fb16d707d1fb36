//! A ring that has had many requests.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict};
use crate::tools_uring::Ring;

pub fn run(gate: &mut Gate) -> Verdict {
    let mut ring = Ring::new(64)?;
    ring.check_works(300_001)?;
    gate.checkpoint()?;
    ring.check_works(1000)
}
