//! What the flags of an action promise still happens: one that resets itself, one that may nest, a mask of its own while
//! the handler runs, no SIGCHLD for a stopped child, an ignored signal.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{action, caught, count, current_mask, dispose, mask, set_action};
use crate::tools_tasks::{Word, await_state, child, wait_status};
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

static DEPTH: Word = Word::new();
static MASK: AtomicU64 = AtomicU64::new(0);

/// Raises its own signal until it is three deep, where the mask lets it.
extern "C" fn nesting(signal: c_int) {
    MASK.store(current_mask(), Ordering::SeqCst);
    if DEPTH.bump() < 3 {
        // SAFETY: the call takes a number only.
        unsafe { libc::raise(signal) };
    }
}

fn raise(signal: i32) {
    // SAFETY: the call takes a number only.
    unsafe { libc::raise(signal) };
}

/// Replaces the handler of a signal that `count` set up, with the mask given.
fn nest(signal: i32, extra: u64) -> Verdict {
    let changed =
        crate::tools_signals::Action { handler: nesting as *const () as usize, mask: extra, ..action(signal)? };
    // SAFETY: the handler takes one argument, as the flags say.
    unsafe { set_action(signal, &changed) }
}

pub fn run(gate: &mut Gate) -> Verdict {
    // The default of SIGWINCH is to be ignored: a second one does nothing.
    count(libc::SIGWINCH, libc::SA_RESETHAND)?;
    count(libc::SIGUSR1, libc::SA_NODEFER)?;
    nest(libc::SIGUSR1, mask(&[libc::SIGHUP, libc::SIGRTMAX()]))?;
    count(libc::SIGCHLD, libc::SA_NOCLDSTOP | libc::SA_RESTART)?;
    dispose(libc::SIGTERM, libc::SIG_IGN)?;
    let stopped = child(gate, |_| {
        raise(libc::SIGSTOP);
        Ok(())
    })?;
    await_state(stopped, "T")?;
    gate.checkpoint()?;
    raise(libc::SIGWINCH);
    raise(libc::SIGWINCH);
    check_eq("SIGWINCH caught", caught(libc::SIGWINCH), 1)?;
    check_eq("the action of SIGWINCH", action(libc::SIGWINCH)?.handler, libc::SIG_DFL)?;
    raise(libc::SIGUSR1);
    check_eq("the depth of nested handlers", DEPTH.get(), 3)?;
    check_eq("the mask in the handler", MASK.load(Ordering::SeqCst), mask(&[libc::SIGHUP, libc::SIGRTMAX()]))?;
    check_eq("the mask afterwards", current_mask(), 0)?;
    raise(libc::SIGTERM);
    let raw = stopped.as_raw();
    check_eq("the stop", wait_status(raw, libc::WUNTRACED), (i64::from(raw), (libc::SIGSTOP << 8) | 0x7f))?;
    check_eq("SIGCHLD for the stop", caught(libc::SIGCHLD), 0)?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(raw, libc::SIGCONT) };
    wait_ok(stopped)?;
    check_eq("SIGCHLD for the end", caught(libc::SIGCHLD), 1)
}
