//! A ring that belongs to one thread is refused.
//@ dump-fails: "only one thread may use it (IORING_SETUP_SINGLE_ISSUER)"
//@ needs: [kernel:io_uring, kernel:6.1]
use crate::gate::{Gate, Verdict};
use crate::tools_uring::{Ring, SINGLE_ISSUER};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut ring = Ring::with(8, 0, SINGLE_ISSUER)?;
    gate.checkpoint()?;
    ring.check_works(20)
}
