//! A parent blocked in vfork whose child neither executes nor exits in time: the dump fails, says why, and both run on.
//@ dump-options: --timeout 2
//@ dump-fails: vfork
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, must, outcome, wait_status};
use std::ffi::{c_int, c_void};

struct Passed<'a> {
    gate: &'a Gate,
    started: &'a Word,
}

extern "C" fn vforked(passed: *mut c_void) -> c_int {
    // SAFETY: the parent passes a structure on its stack, and stays in vfork until this function has returned.
    let passed = unsafe { &*passed.cast::<Passed>() };
    passed.started.bump();
    passed.gate.wait();
    7
}

pub fn run(gate: &mut Gate) -> Verdict {
    let started = Word::shared()?;
    let parent = child(gate, |gate| {
        let mut stack = vec![0u64; 8192];
        // SAFETY: the top of the vector, aligned as a stack must be; the vector outlives the child, which vfork awaits.
        let top = unsafe { stack.as_mut_ptr().add(stack.len() - 2) };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let mut passed = Passed { gate, started };
        // SAFETY: the child has a stack of its own and only waits and exits.
        let pid = must("clone", outcome(unsafe { libc::clone(vforked, top.cast(), flags, (&raw mut passed).cast()) }))?;
        check_eq("the vforked child's end", wait_status(pid as i32, 0), (pid, 7 << 8))
    })?;
    started.wait_for(1);
    gate.checkpoint()?;
    wait_ok(parent)
}
