//! A signal descriptor is refused by name; it still delivers.
//@ dump-fails: "[signalfd]"
use crate::gate::{Gate, Verdict, check_eq};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGUSR1);
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK)?;
    gate.checkpoint()?;
    check_eq("nothing before", signals.read_signal()?.is_none(), true)?;
    raise(Signal::SIGUSR1)?;
    check_eq("the signal", signals.read_signal()?.map(|s| s.ssi_signo), Some(Signal::SIGUSR1 as u32))
}
