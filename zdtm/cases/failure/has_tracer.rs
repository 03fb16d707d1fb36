//! A task that another task of the tree traces is refused with a word about it; its tracer still has it.
//@ dump-fails: traced
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};

pub fn run(gate: &mut Gate) -> Verdict {
    let child = gate.fork(|_| {
        ptrace::traceme()?;
        raise(Signal::SIGSTOP)?;
        Ok(())
    })?;
    check_eq("the stop of the child", waitpid(child, None)?, WaitStatus::Stopped(child, Signal::SIGSTOP))?;
    gate.checkpoint()?;
    ptrace::setoptions(child, ptrace::Options::PTRACE_O_EXITKILL)?;
    ptrace::cont(child, None)?;
    wait_ok(child)
}
