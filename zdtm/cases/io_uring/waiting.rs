//! A request that waits for something is refused, with what it is; it still completes.
//@ dump-fails: "1 requests wait in it"
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_uring::{POLL_ADD, Request, Ring};
use std::io::Write;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (r, mut w) = std::io::pipe()?;
    let mut ring = Ring::new(8)?;
    let events = libc::POLLIN as u32;
    let (low, high) = (events.to_le(), events.rotate_left(16).to_be());
    let more = if cfg!(target_endian = "big") { high } else { low };
    ring.submit(Request { opcode: POLL_ADD, fd: r.as_raw_fd(), more, data: 6, ..Request::default() })?;
    gate.checkpoint()?;
    w.write_all(b"x")?;
    check_eq("the completion", ring.wait()?, (6, i32::from(libc::POLLIN)))
}
