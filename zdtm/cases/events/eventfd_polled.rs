//! Readiness of eventfds, asked and waited for: readable, writable, both; a task waiting in poll is woken.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::until;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use std::os::fd::AsFd;

fn events(counter: &EventFd) -> Verdict<PollFlags> {
    let mut fds = [PollFd::new(counter.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO)?;
    Ok(fds[0].revents().unwrap_or(PollFlags::empty()))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (zero, some, full, quiet) = (EventFd::new()?, EventFd::new()?, EventFd::new()?, EventFd::new()?);
    some.write(1)?;
    full.write(u64::MAX - 1)?;
    let poller = gate.fork(|_| {
        let mut fds = [PollFd::new(quiet.as_fd(), PollFlags::POLLIN)];
        check_eq("what poll found", poll(&mut fds, PollTimeout::from(20_000u16)), Ok(1))?;
        check_eq("the counter", quiet.read(), Ok(3))
    })?;
    until("the child to poll", || Ok(std::fs::read_to_string(format!("/proc/{poller}/wchan"))?.contains("poll")))?;
    gate.checkpoint()?;
    check_eq("events at zero", events(&zero)?, PollFlags::POLLOUT)?;
    check_eq("events between", events(&some)?, PollFlags::POLLIN | PollFlags::POLLOUT)?;
    check_eq("events at the largest", events(&full)?, PollFlags::POLLIN)?;
    quiet.write(3)?;
    wait_ok(poller)
}
