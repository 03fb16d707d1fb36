//! A set that watches three hundred files, and one that watches nothing.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{epoll, ready, watch};
use nix::sys::eventfd::EventFd;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (set, empty) = (epoll()?, epoll()?);
    let counters = (0..300).map(|n| EventFd::from_value(n % 3)).collect::<Result<Vec<_>, _>>()?;
    for (n, counter) in counters.iter().enumerate() {
        watch(&set, counter.as_raw_fd(), libc::EPOLLIN | libc::EPOLLONESHOT, n as u64)?;
    }
    gate.checkpoint()?;
    let mut seen = Vec::new();
    loop {
        let some = ready(&set)?;
        if some.is_empty() {
            break;
        }
        seen.extend(some.into_iter().map(|(_, word)| word));
    }
    seen.sort_unstable();
    check_eq("what was ready", seen, (0..300).filter(|n| n % 3 != 0).collect())?;
    counters[0].write(1)?;
    check_eq("one more", ready(&set)?, vec![(libc::EPOLLIN, 0)])?;
    check_eq("the empty set", ready(&empty)?, vec![])?;
    watch(&empty, counters[0].as_raw_fd(), libc::EPOLLIN, 7)?;
    check_eq("no longer empty", ready(&empty)?, vec![(libc::EPOLLIN, 7)])
}
