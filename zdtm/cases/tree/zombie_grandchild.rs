//! A zombie child of a child is still reaped by its own parent, with the right status.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_state, child, stay, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let middle = child(gate, |gate| {
        // SAFETY: _exit only ends the process.
        let zombie = child(gate, |_| unsafe { libc::_exit(33) })?;
        await_state(zombie, "Z")?;
        stay(gate, arrived)?;
        check_eq("the status", wait_status(-1, 0), (i64::from(zombie.as_raw()), 33 << 8))
    })?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    wait_ok(middle)
}
