//! A parent blocked in vfork while its child runs for a moment: the dump waits for the child, which must not be frozen
//! before its parent can be.
//@ witness: -tasks # the child ends while the dump waits for it
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, must, outcome, wait_status};
use std::ffi::{c_int, c_void};
use std::time::Duration;

extern "C" fn vforked(started: *mut c_void) -> c_int {
    // SAFETY: the parent passes a word that lives until the process ends.
    unsafe { &*started.cast::<Word>() }.bump();
    std::thread::sleep(Duration::from_millis(700));
    7
}

pub fn run(gate: &mut Gate) -> Verdict {
    let started = Word::shared()?;
    let parent = child(gate, |gate| {
        let mut stack = vec![0u64; 8192];
        // SAFETY: the top of the vector, aligned as a stack must be; the vector outlives the child, which vfork awaits.
        let top = unsafe { stack.as_mut_ptr().add(stack.len() - 2) };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let word = (&raw const *started).cast_mut().cast();
        // SAFETY: the child has a stack of its own and only sleeps and exits.
        let pid = must("clone", outcome(unsafe { libc::clone(vforked, top.cast(), flags, word) }))?;
        check_eq("the vforked child's end", wait_status(pid as i32, 0), (pid, 7 << 8))?;
        gate.wait();
        Ok(())
    })?;
    started.wait_for(1);
    gate.checkpoint()?;
    wait_ok(parent)
}
