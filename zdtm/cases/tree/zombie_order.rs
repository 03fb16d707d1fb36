//! A wait for any child returns zombies in the order in which the children were made.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{await_state, child, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut wanted = Vec::new();
    for code in 1..=20 {
        // SAFETY: _exit only ends the process.
        let zombie = child(gate, |_| unsafe { libc::_exit(code) })?;
        await_state(zombie, "Z")?;
        wanted.push((i64::from(zombie.as_raw()), code << 8));
    }
    gate.checkpoint()?;
    let reaped: Vec<(i64, i32)> = wanted.iter().map(|_| wait_status(-1, 0)).collect();
    check_eq("the order of the zombies", reaped, wanted)
}
