//! A descriptor of a process is refused by name; it still signals the process it is about.
//@ dump-fails: "[pidfd]"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::owned;
use crate::tools_relatives::{arrive, await_word, shared_word};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let child = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        await_word(word, 2)
    })?;
    await_word(word, 1)?;
    // SAFETY: integers only.
    let handle = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) })?;
    gate.checkpoint()?;
    // SAFETY: integers and a null pointer, which means a plain signal.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), libc::SIGKILL, 0usize, 0) })?;
    check_eq("the child's end", waitpid(child, None)?, WaitStatus::Signaled(child, Signal::SIGKILL, false))
}
