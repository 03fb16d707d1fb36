//! A timeout that runs shows only in the counters; it is refused, and runs on.
//@ dump-fails: "its counters differ: 1 requests submitted, 0 completed"
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_uring::{Request, Ring, TIMEOUT};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut ring = Ring::new(8)?;
    let time = [2i64, 0];
    let address = time.as_ptr() as u64;
    ring.submit(Request { opcode: TIMEOUT, address, length: 1, data: 7, ..Request::default() })?;
    gate.checkpoint()?;
    check_eq("the completion", ring.wait()?, (7, -libc::ETIME))
}
