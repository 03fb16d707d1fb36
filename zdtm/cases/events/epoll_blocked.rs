//! Threads in epoll_wait wait on and get the event that comes after the restore; one whose time runs out is not late.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_events::{epoll, reports, watch};
use crate::tools_threads::Call;
use nix::sys::eventfd::EventFd;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

pub fn run(gate: &mut Gate) -> Verdict {
    let (set, quiet, counter) = (epoll()?, epoll()?, EventFd::new()?);
    watch(&set, counter.as_raw_fd(), libc::EPOLLIN, 9)?;
    watch(&quiet, counter.as_raw_fd(), libc::EPOLLPRI, 9)?;
    let start = Instant::now();
    let call = crate::tools_events::wait_call();
    let waiter = Call::start(call, move || reports(&set, Duration::from_secs(3600)))?;
    let short = Call::start(call, move || (reports(&quiet, Duration::from_secs(1)), start.elapsed()))?;
    gate.checkpoint()?;
    waiter.still()?;
    counter.write(1)?;
    check_eq("the report", waiter.result()?, Ok(vec![(libc::EPOLLIN, 9)]))?;
    let (report, elapsed) = short.result()?;
    check_eq("the wait that timed out", report, Ok(vec![]))?;
    check(&format!("it did not end early ({elapsed:?})"), elapsed >= Duration::from_secs(1))
}
