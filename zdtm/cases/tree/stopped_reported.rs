//! A stopped child whose stop the parent has already seen stays stopped, is not reported again and sends no SIGCHLD
//! again; SIGCONT lets it go on.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{change_mask, mask, take, take_now};
use crate::tools_tasks::{child, task_state, wait_status};
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let chld = mask(&[libc::SIGCHLD]);
    change_mask(libc::SIG_BLOCK, chld);
    let stopped = child(gate, |gate| {
        // SAFETY: the call takes a number only.
        unsafe { libc::raise(libc::SIGSTOP) };
        check("the gate is open when the stop ends", gate.passed())
    })?;
    let raw = stopped.as_raw();
    check_eq("the stop", wait_status(raw, libc::WUNTRACED), (i64::from(raw), (libc::SIGSTOP << 8) | 0x7f))?;
    check("SIGCHLD for the stop", take(chld, Duration::from_secs(5))?.is_some())?;
    gate.checkpoint()?;
    check_eq("the child's state", task_state(stopped)?, "T".to_owned())?;
    check_eq("a second SIGCHLD", take_now(chld)?, None)?;
    check_eq("a second report", wait_status(raw, libc::WUNTRACED | libc::WNOHANG), (0, 0))?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(raw, libc::SIGCONT) };
    wait_ok(stopped)
}
