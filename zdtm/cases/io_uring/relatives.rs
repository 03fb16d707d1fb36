//! Parent and child share a ring and its memory.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, stay};
use crate::tools_uring::{NOP, Request, Ring};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut ring = Ring::new(8)?;
    ring.check_works(11)?;
    let arrived = Word::shared()?;
    let child = gate.fork(|gate| {
        stay(gate, arrived)?;
        ring.submit(Request { opcode: NOP, data: 1, ..Request::default() })
    })?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    wait_ok(child)?;
    check_eq("the completion of the child's request", ring.take_all(), vec![(1, 0)])
}
