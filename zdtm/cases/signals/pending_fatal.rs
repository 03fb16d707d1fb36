//! Blocked and pending signals whose action is the default: unblocked after the restore one kills, one stops.
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools::wait_ok;
use crate::tools_signals::{change_mask, mask};
use crate::tools_tasks::{Word, child, wait_status};
use nix::unistd::{Pid, setpgid};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let mut make = |signal: i32| {
        child(gate, |gate| {
            // A group of its own, not orphaned, so that it can be stopped.
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            change_mask(libc::SIG_BLOCK, mask(&[signal]));
            // SAFETY: the call takes numbers only.
            unsafe { libc::kill(libc::getpid(), signal) };
            arrived.bump();
            gate.wait();
            change_mask(libc::SIG_UNBLOCK, mask(&[signal]));
            if signal == libc::SIGTSTP { Ok(()) } else { fail("the pending signal did not kill") }
        })
    };
    let (term, realtime, stop) = (make(libc::SIGTERM)?, make(libc::SIGRTMIN())?, make(libc::SIGTSTP)?);
    arrived.wait_for(3);
    gate.checkpoint()?;
    check_eq("SIGTERM's", wait_status(term.as_raw(), 0), (i64::from(term.as_raw()), libc::SIGTERM))?;
    check_eq(
        "the real-time one's",
        wait_status(realtime.as_raw(), 0),
        (i64::from(realtime.as_raw()), libc::SIGRTMIN()),
    )?;
    let raw = stop.as_raw();
    check_eq("SIGTSTP's", wait_status(raw, libc::WUNTRACED), (i64::from(raw), libc::SIGTSTP << 8 | 0x7f))?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(raw, libc::SIGCONT) };
    wait_ok(stop)
}
