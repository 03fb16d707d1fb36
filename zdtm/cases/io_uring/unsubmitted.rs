//! Requests that the program has put into the ring and not submitted yet, some of them published: the kernel takes them
//! when it is told.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_uring::{NOP, Request, Ring};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut ring = Ring::new(8)?;
    ring.check_works(5)?;
    for data in 0..4 {
        ring.put(Request { opcode: NOP, data, ..Request::default() })?;
        if data == 2 {
            ring.publish();
        }
    }
    gate.checkpoint()?;
    check_eq("requests taken", ring.enter(8, 0)?, 3)?;
    ring.publish();
    check_eq("the one published now", ring.enter(8, 0)?, 1)?;
    check_eq("the completions", ring.take_all(), (0..4).map(|data| (data, 0)).collect())?;
    ring.check_works(20)
}
