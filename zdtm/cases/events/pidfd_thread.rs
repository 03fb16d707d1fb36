//! A pidfd of a process's first thread, made with PIDFD_THREAD, stays one of the thread.
//@ needs: [kernel:pidfd_thread]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{pidfd, signal};
use crate::tools_files::flags;

pub fn run(gate: &mut Gate) -> Verdict {
    const PIDFD_THREAD: i32 = libc::O_EXCL;
    let thread = pidfd(nix::unistd::getpid(), PIDFD_THREAD)?;
    let before = flags(&thread)?;
    gate.checkpoint()?;
    check_eq("the flags", flags(&thread)?, before)?;
    check_eq("a signal that is none", signal(&thread, 0), Ok(()))
}
