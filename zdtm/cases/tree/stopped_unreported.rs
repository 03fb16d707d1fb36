//! Stopped children whose stop the parent has not asked for yet: after the restore the wait tells the signal that
//! stopped each of them.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{await_state, child, task_state, wait_status};
use nix::unistd::{Pid, setpgid};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut stopped = Vec::new();
    for signal in [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        let pid = child(gate, |gate| {
            // In a group of its own, whose parent is in the same session: not orphaned, so that it can be stopped.
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            // SAFETY: the call takes a number only.
            unsafe { libc::raise(signal) };
            check("the gate is open when the stop ends", gate.passed())
        })?;
        await_state(pid, "T")?;
        stopped.push((pid, signal));
    }
    gate.checkpoint()?;
    for (pid, signal) in stopped {
        let raw = pid.as_raw();
        check_eq("the child's state", task_state(pid)?, "T".to_owned())?;
        check_eq("the stop", wait_status(raw, libc::WUNTRACED), (i64::from(raw), (signal << 8) | 0x7f))?;
        check_eq("a second report", wait_status(raw, libc::WUNTRACED | libc::WNOHANG), (0, 0))?;
        // SAFETY: the call takes numbers only.
        unsafe { libc::kill(raw, libc::SIGCONT) };
        wait_ok(pid)?;
    }
    Ok(())
}
