//! Zombies keep their exit codes, and each is a child that can be waited for once.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{await_state, child, peek_end, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut zombies = Vec::new();
    for code in [0, 1, 7, 127, 128, 255] {
        // SAFETY: _exit only ends the process.
        let zombie = child(gate, |_| unsafe { libc::_exit(code) })?;
        await_state(zombie, "Z")?;
        zombies.push((zombie, code));
    }
    gate.checkpoint()?;
    for (zombie, code) in zombies {
        check_eq("the end as waitid tells it", peek_end(zombie)?, (libc::CLD_EXITED, code, 0))?;
        let pid = zombie.as_raw();
        check_eq("the status", wait_status(pid, libc::WNOHANG), (i64::from(pid), code << 8))?;
        check_eq("a second wait", wait_status(pid, libc::WNOHANG), (-1, libc::ECHILD))?;
    }
    check_eq("a wait for any", wait_status(-1, libc::WNOHANG), (-1, libc::ECHILD))
}
