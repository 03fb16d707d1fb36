//! The kernel has started a worker thread in the process for a request that could not be completed at once.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_uring::{ASYNC, NOP, Request, Ring};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut ring = Ring::new(8)?;
    let request = Request { opcode: NOP, flags: ASYNC, data: 3, ..Request::default() };
    check_eq("the result", ring.result(request)?, 0)?;
    check("there is a worker", std::fs::read_dir("/proc/self/task")?.count() > 1)?;
    gate.checkpoint()?;
    check_eq("the result afterwards", ring.result(request)?, 0)?;
    ring.check_works(20)
}
