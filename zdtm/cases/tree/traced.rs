//! A task that is already traced by another of the tree cannot be frozen: the dump fails and names it, and both tracer
//! and traced run on.
//@ dump-fails: traced
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, outcome, wait_status};
use std::ptr::null_mut;

pub fn run(gate: &mut Gate) -> Verdict {
    let counter = Word::shared()?;
    let traced = child(gate, |gate| {
        while !gate.passed() || counter.get() < 1000 {
            counter.bump();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        counter.wait_for(u32::MAX);
        Ok(())
    })?;
    let raw = traced.as_raw();
    let none = null_mut::<libc::c_void>();
    // SAFETY: seizing a child takes no address of ours.
    let seized = outcome(unsafe { libc::ptrace(libc::PTRACE_SEIZE, raw, none, none) });
    check_eq("PTRACE_SEIZE", seized, (0, 0))?;
    gate.checkpoint()?;
    let before = counter.get();
    counter.wait_for(before.max(1000));
    // SAFETY: interrupting a tracee takes no address of ours.
    let interrupted = outcome(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, raw, none, none) });
    check_eq("PTRACE_INTERRUPT", interrupted, (0, 0))?;
    let (pid, status) = wait_status(raw, libc::__WALL);
    check_eq("the stopped tracee", pid, i64::from(raw))?;
    check("the tracee stopped by the interrupt", status >> 16 == libc::PTRACE_EVENT_STOP)?;
    // SAFETY: detaching a stopped tracee takes no address of ours.
    let detached = outcome(unsafe { libc::ptrace(libc::PTRACE_DETACH, raw, none, none) });
    check_eq("PTRACE_DETACH", detached, (0, 0))?;
    counter.set(u32::MAX);
    wait_ok(traced)
}
