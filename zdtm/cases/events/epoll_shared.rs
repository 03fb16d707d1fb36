//! An epoll set that two processes share, in which each registered files by numbers of its own table, one of them a file
//! that the other has not; after the restore either sees what is ready.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_events::{epoll, ready, watch};
use crate::tools_files::{close_in_child, same_description};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::sys::eventfd::EventFd;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (word, input) = (shared_word()?, libc::EPOLLIN);
    let (set, common) = (epoll()?, EventFd::new()?);
    watch(&set, common.as_raw_fd(), input, 1)?;
    let child = gate.fork(|gate| {
        close_in_child(&common);
        // The number that the parent's file had, and one that the parent has not.
        let (own, far) = (EventFd::new()?, EventFd::new()?);
        check_eq("the number", own.as_raw_fd(), common.as_raw_fd())?;
        watch(&set, own.as_raw_fd(), input, 2)?;
        watch(&set, far.as_raw_fd(), input, 3)?;
        arrive(word);
        gate.wait();
        own.write(1)?;
        check_eq("what the child sees", ready(&set)?, vec![(input, 2)])?;
        own.read()?;
        far.write(1)?;
        arrive(word);
        await_word(word, 3)
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    await_word(word, 2)?;
    check_eq("what the parent sees", ready(&set)?, vec![(input, 3)])?;
    common.write(1)?;
    check_eq("and of its own", ready(&set)?, vec![(input, 1), (input, 3)])?;
    check_eq("one description", same_description(&set, child, set.as_raw_fd())?, true)?;
    arrive(word);
    wait_ok(child)
}
