//! A child that shares the signal actions of its parent without being a thread (CLONE_SIGHAND): an action that one sets
//! is the other's too, and each keeps signals and masks of its own.
//@ dump-fails: "it shares its"
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{action, change_mask, count, current_mask, dispose, mask};
use crate::tools_tasks::{Word, die_with_parent, must, outcome, wait_status};
use std::ffi::{c_int, c_void};

/// The two share their memory; so these are both's.
static STEP: Word = Word::new();
/// What the child found: its mask was its own, and the parent's action its own too.
static FOUND: [Word; 2] = [const { Word::new() }; 2];

extern "C" fn sharer(_: *mut c_void) -> c_int {
    let own = mask(&[libc::SIGUSR2]);
    change_mask(libc::SIG_SETMASK, own);
    if die_with_parent().is_err() || dispose(libc::SIGHUP, libc::SIG_IGN).is_err() {
        return 1;
    }
    STEP.set(1);
    STEP.wait_for(2);
    FOUND[0].set(u32::from(current_mask() == own));
    FOUND[1].set(u32::from(action(libc::SIGUSR1).is_ok_and(|a| a.handler == libc::SIG_IGN)));
    i32::from(dispose(libc::SIGTERM, libc::SIG_IGN).is_err())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut stack = vec![0u64; 8192];
    // SAFETY: the top of the vector, aligned as a stack must be; the vector lives until the child was waited for.
    let top = unsafe { stack.as_mut_ptr().add(stack.len() - 2) };
    let flags = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::SIGCHLD;
    // SAFETY: the child has a stack of its own, and its parent waits without using thread-local memory meanwhile.
    let pid = must("clone", outcome(unsafe { libc::clone(sharer, top.cast(), flags, std::ptr::null_mut()) }))?;
    STEP.wait_for(1);
    count(libc::SIGUSR1, 0)?;
    check_eq("the child's action before", action(libc::SIGHUP)?.handler, libc::SIG_IGN)?;
    gate.checkpoint()?;
    dispose(libc::SIGUSR1, libc::SIG_IGN)?;
    STEP.set(2);
    check_eq("the child's end", wait_status(pid as i32, 0), (pid, 0))?;
    check_eq("the child's mask and the common action, seen by it", FOUND.each_ref().map(Word::get), [1, 1])?;
    check_eq("the action that the child set", action(libc::SIGTERM)?.handler, libc::SIG_IGN)?;
    check_eq("the parent's mask", current_mask(), 0)
}
