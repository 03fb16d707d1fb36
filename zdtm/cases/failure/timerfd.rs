//! A timer descriptor is refused by name; it expires all the same.
//@ dump-fails: "[timerfd]"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{owned, read_once};
use nix::errno::Errno;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: integers only.
    let timer = owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, 0) }.into())?;
    // SAFETY: all-zero is a valid itimerspec.
    let mut when: libc::itimerspec = unsafe { std::mem::zeroed() };
    when.it_value.tv_nsec = 20_000_000;
    // SAFETY: the structure outlives the call.
    Errno::result(unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &when, std::ptr::null_mut()) })?;
    gate.checkpoint()?;
    check_eq("expirations", read_once(&timer, 8)?, 1u64.to_ne_bytes().to_vec())
}
