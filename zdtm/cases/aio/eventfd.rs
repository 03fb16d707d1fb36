//! Requests that an eventfd counts, before and after; the eventfd is in an epoll set.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_aio::{Context, Request};
use crate::tools_events::{epoll, ready, watch};
use nix::sys::eventfd::EventFd;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let context = Context::new(8)?;
    let file = std::fs::File::create(gate.path("written"))?;
    let (count, set) = (EventFd::new()?, epoll()?);
    watch(&set, count.as_raw_fd(), libc::EPOLLIN, 1)?;
    context.submit(&[
        Request::write(1, &file, b"one").counted(&count),
        Request::write(2, &file, b"two").counted(&count),
    ])?;
    gate.checkpoint()?;
    check_eq("the set", ready(&set)?, vec![(libc::EPOLLIN, 1)])?;
    check_eq("the counter", count.read()?, 2)?;
    context.submit(&[Request::write(3, &file, b"three").counted(&count)])?;
    check_eq("the set once more", ready(&set)?, vec![(libc::EPOLLIN, 1)])?;
    check_eq("all words", context.take(8)?, vec![1, 2, 3])
}
