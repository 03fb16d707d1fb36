//! Rings of several sizes, one with many more places for completions than for submissions.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_uring::{CQSIZE, NOP, Request, Ring};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut rings = [Ring::new(1)?, Ring::with(2, 512, CQSIZE)?, Ring::new(4096)?, Ring::with(128, 128, CQSIZE)?];
    for (n, ring) in rings.iter_mut().enumerate() {
        ring.check_works(n as u64 * 37)?;
    }
    for data in 0..400 {
        rings[1].submit(Request { opcode: NOP, data, ..Request::default() })?;
    }
    gate.checkpoint()?;
    check_eq("the completions", rings[1].take_all(), (0..400).map(|data| (data, 0)).collect())?;
    rings.iter_mut().try_for_each(|ring| ring.check_works(5000))
}
