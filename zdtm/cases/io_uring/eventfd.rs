//! A registered eventfd counts completions, before and after; the ring is in an epoll set.
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{epoll, ready, watch};
use crate::tools_uring::{EVENTFD, NOP, Request, Ring};
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (count, set) = (EventFd::new()?, epoll()?);
    let mut ring = Ring::new(8)?;
    watch(&set, ring.fd.as_raw_fd(), libc::EPOLLIN, 5)?;
    let number = count.as_raw_fd() as u32;
    let both = [number.to_ne_bytes(), [0; 4]].concat();
    let list = [u64::from_ne_bytes(both.as_chunks().0[0])];
    ring.register(EVENTFD, &list, 1)?;
    ring.check_works(3)?;
    ring.submit(Request { opcode: NOP, data: 9, ..Request::default() })?;
    gate.checkpoint()?;
    check_eq("the counter", count.read()?, 4)?;
    check_eq("the set", ready(&set)?, vec![(libc::EPOLLIN, 5)])?;
    check_eq("the completion", ring.take_all(), vec![(9, 0)])?;
    check_eq("the empty set", ready(&set)?, vec![])?;
    ring.check_works(2)?;
    check_eq("the counter afterwards", count.read()?, 2)?;
    check_eq("another one", ring.register(EVENTFD, &list, 1), Err(Errno::EBUSY))
}
