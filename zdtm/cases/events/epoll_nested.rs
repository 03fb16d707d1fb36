//! Epoll sets that watch epoll sets, three deep and one from two; timers and signals are watched like any.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{epoll, polled, ready, set_timer, timerfd, watch};
use crate::tools_files::owned;
use crate::tools_signals::{change_mask, mask};
use nix::sys::eventfd::EventFd;
use std::os::fd::AsRawFd;
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let input = libc::EPOLLIN;
    let (inner, middle, outer, beside) = (epoll()?, epoll()?, epoll()?, epoll()?);
    let counter = EventFd::new()?;
    let timer = timerfd(libc::CLOCK_MONOTONIC, 0)?;
    let set = mask(&[libc::SIGUSR1]);
    change_mask(libc::SIG_BLOCK, set);
    // SAFETY: the kernel reads the eight bytes of the set.
    let signals = owned(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, 8usize, 0) })?;
    watch(&inner, counter.as_raw_fd(), input, 1)?;
    watch(&middle, inner.as_raw_fd(), input, 2)?;
    watch(&middle, timer.as_raw_fd(), input, 3)?;
    watch(&outer, middle.as_raw_fd(), input | libc::EPOLLET, 4)?;
    watch(&beside, inner.as_raw_fd(), input, 5)?;
    watch(&beside, signals.as_raw_fd(), input, 6)?;
    gate.checkpoint()?;
    check_eq("nothing is ready", (ready(&outer)?, ready(&beside)?), (vec![], vec![]))?;
    counter.write(1)?;
    check_eq("the outermost", ready(&outer)?, vec![(input, 4)])?;
    check_eq("the outermost again", ready(&outer)?, vec![])?;
    check_eq("the middle", ready(&middle)?, vec![(input, 2)])?;
    check_eq("beside", ready(&beside)?, vec![(input, 5)])?;
    check_eq("the innermost", ready(&inner)?, vec![(input, 1)])?;
    counter.read()?;
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGUSR1)?;
    check_eq("the signal", ready(&beside)?, vec![(input, 6)])?;
    check_eq("the quiet set in poll", polled(&middle)?, 0)?;
    set_timer(&timer, 0, Duration::from_millis(1), Duration::ZERO)?;
    let report = crate::tools_events::reports(&outer, crate::tools::patience())?;
    check_eq("the timer, seen from the outermost", report, vec![(input, 4)])?;
    check_eq("the timer", ready(&middle)?, vec![(input, 3)])
}
