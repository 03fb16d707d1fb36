//! An epoll set that watches a file which only a process outside the tree still has is refused.
//@ dump-fails: "it watches a file that no process of the tree has"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_events::{epoll, ready, watch};
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::sys::eventfd::EventFd;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (set, counter, word) = (epoll()?, EventFd::new()?, shared_word()?);
    watch(&set, counter.as_raw_fd(), libc::EPOLLIN, 1)?;
    // The child of a child that ends belongs to somebody else.
    let child = gate.fork(|gate| {
        gate.fork(|_| {
            await_word(word, 1)?;
            counter.write(1)?;
            await_word(word, 2)
        })?;
        Ok(())
    })?;
    wait_ok(child)?;
    drop(counter);
    gate.checkpoint()?;
    arrive(word);
    let report = crate::tools_events::reports(&set, crate::tools::patience())?;
    check_eq("what it reports", report, vec![(libc::EPOLLIN, 1)])?;
    arrive(word);
    check_eq("the same again, or the file is gone", ready(&set)?.len() <= 1, true)
}
