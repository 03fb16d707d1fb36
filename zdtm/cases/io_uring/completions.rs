//! Completions that were not taken yet are there, also where they lie around the end of the ring.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_uring::{NOP, READ, Request, Ring, transfer};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut ring = Ring::new(4)?;
    ring.check_works(6)?;
    for data in 100..105 {
        ring.submit(Request { opcode: NOP, data, ..Request::default() })?;
    }
    ring.submit(transfer(READ, -1, 0, 1, 0))?;
    gate.checkpoint()?;
    let mut expected: Vec<_> = (100..105).map(|data| (data, 0)).collect();
    expected.push((0x77, -libc::EBADF));
    check_eq("the completions", ring.take_all(), expected)?;
    ring.check_works(20)
}
