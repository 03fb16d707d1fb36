//! A thread that reads a signal descriptor waits on, and gets the signal that comes after the restore.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{owned, read_once};
use crate::tools_signals::{change_mask, mask};
use crate::tools_threads::blocked;

pub fn run(gate: &mut Gate) -> Verdict {
    let set = mask(&[libc::SIGUSR1]);
    change_mask(libc::SIG_BLOCK, set);
    // SAFETY: the kernel reads the eight bytes of the set.
    let signals = owned(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, 8usize, 0) })?;
    let read = move || read_once(&signals, 128).map(|info| info[0]);
    let pid = nix::unistd::getpid();
    let wake = || Ok(nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1)?);
    let signal = blocked(gate, libc::SYS_read, read, wake)?;
    check_eq("the signal", signal, Ok(libc::SIGUSR1 as u8))
}
