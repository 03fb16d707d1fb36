//! A child that shares its parent's memory without being a thread (CLONE_VM): what one writes the other still sees.
//@ dump-fails: "address space"
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::{Word, must, outcome, wait_status};
use nix::unistd::{Pid, getpid};
use std::ffi::{c_int, c_void};

/// Private memory of the process: only a task that shares its memory sees changes.
static SAID: Word = Word::new();
static HEARD: Word = Word::new();
/// A last-resort end for the child: its parent died.
static PARENT: Word = Word::new();

extern "C" fn sharer(_: *mut c_void) -> c_int {
    if crate::tools_tasks::die_with_parent().is_err() {
        return 1;
    }
    HEARD.set(1);
    SAID.wait_for(1);
    HEARD.set(2);
    i32::from(nix::unistd::getppid() != Pid::from_raw(PARENT.get() as i32))
}

pub fn run(gate: &mut Gate) -> Verdict {
    PARENT.set(getpid().as_raw() as u32);
    let mut stack = vec![0u64; 8192];
    // SAFETY: the top of the vector, aligned as a stack must be; the vector lives until the child was waited for.
    let top = unsafe { stack.as_mut_ptr().add(stack.len() - 2) };
    let flags = libc::CLONE_VM | libc::SIGCHLD;
    // SAFETY: the child has a stack of its own and touches only statics.
    let pid = must("clone", outcome(unsafe { libc::clone(sharer, top.cast(), flags, std::ptr::null_mut()) }))?;
    HEARD.wait_for(1);
    gate.checkpoint()?;
    check("the child waits", HEARD.get() == 1)?;
    SAID.set(1);
    check_eq("the child's end", wait_status(pid as i32, 0), (pid, 0))?;
    check_eq("what the child wrote", HEARD.get(), 2)
}
