//! 200 children of one process, each with its own exit code.
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, child, stay, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let mut children = Vec::new();
    for code in 0..200 {
        let pid = child(gate, |gate| {
            stay(gate, arrived)?;
            // SAFETY: _exit only ends the process.
            unsafe { libc::_exit(code) }
        })?;
        children.push((pid.as_raw(), code));
    }
    arrived.wait_for(200);
    gate.checkpoint()?;
    for (pid, code) in children {
        check_eq("the status", wait_status(pid, 0), (i64::from(pid), code << 8))?;
    }
    check_eq("a wait for more", wait_status(-1, 0), (-1, libc::ECHILD))
}
