//! Pidfds of the process itself, its parent, a child and a zombie: signals go where they went, ends are told.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_events::{pidfd, polled, signal};
use crate::tools_files::{fcntl, flags};
use crate::tools_relatives::{arrive, await_word, shared_word};
use crate::tools_tasks::await_state;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{getpid, getppid};
use std::os::fd::AsRawFd;

const NONBLOCK: i32 = libc::O_NONBLOCK;

/// Waits for a child by a pidfd: how it ended.
fn wait_by(fd: &impl AsRawFd) -> Result<i32, Errno> {
    // SAFETY: all-zero is a valid siginfo; the kernel fills it.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the structure outlives the call.
    Errno::result(unsafe { libc::waitid(libc::P_PIDFD, fd.as_raw_fd() as u32, &mut info, libc::WEXITED) })?;
    // SAFETY: waitid filled in a child's end.
    Ok(unsafe { info.si_status() })
}

pub fn run(gate: &mut Gate) -> Verdict {
    let word = shared_word()?;
    let own = pidfd(getpid(), 0)?;
    let child = gate.fork(|gate| {
        let parent = pidfd(getppid(), NONBLOCK)?;
        arrive(word);
        gate.wait();
        check_eq("nonblocking", flags(&parent)? & NONBLOCK, NONBLOCK)?;
        check_eq("a signal that is none, to the parent", signal(&parent, 0), Ok(()))?;
        check_eq("the parent is alive", polled(&parent)?, 0)?;
        arrive(word);
        await_word(word, 100)
    })?;
    let zombie = gate.fork(|_| std::process::exit(7))?;
    await_state(zombie, "Z")?;
    let (of_child, of_zombie) = (pidfd(child, 0)?, pidfd(zombie, 0)?);
    await_word(word, 1)?;
    gate.checkpoint()?;
    await_word(word, 2)?;
    check_eq("close-on-exec", fcntl(&own, libc::F_GETFD, 0)?, 1)?;
    check_eq("a signal that is none, to itself", signal(&own, 0), Ok(()))?;
    check_eq("the child is alive", polled(&of_child)?, 0)?;
    check_eq("the zombie is not", polled(&of_zombie)? & libc::POLLIN, libc::POLLIN)?;
    check_eq("how the zombie ended", wait_by(&of_zombie), Ok(7))?;
    check_eq("the zombie is gone", signal(&of_zombie, 0), Err(Errno::ESRCH))?;
    signal(&of_child, libc::SIGKILL)?;
    check_eq("the child's end", waitpid(child, None)?, WaitStatus::Signaled(child, Signal::SIGKILL, false))?;
    check_eq("the child is gone", polled(&of_child)? & libc::POLLIN, libc::POLLIN)?;
    let last = gate.fork(|_| Ok(()))?;
    wait_ok(last)
}
