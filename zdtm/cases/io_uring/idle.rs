//! A ring with nothing under way works on: its heads and tails are those that the program remembers.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict};
use crate::tools_uring::Ring;

pub fn run(gate: &mut Gate) -> Verdict {
    let (mut used, mut fresh) = (Ring::new(8)?, Ring::new(1)?);
    used.check_works(13)?;
    gate.checkpoint()?;
    used.check_works(100)?;
    fresh.check_works(10)
}
