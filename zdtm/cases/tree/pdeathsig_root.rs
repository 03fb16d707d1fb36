//! The root asked for a signal at its parent's death: it still does so after the restore, and the end of an engine that
//! only restored it is no such death.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::{change_mask, mask, take};
use crate::tools_tasks::{must, prctl};
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let wanted = libc::SIGRTMIN() + 5;
    change_mask(libc::SIG_BLOCK, mask(&[wanted]));
    must("PR_SET_PDEATHSIG", prctl(libc::PR_SET_PDEATHSIG, wanted as u64))?;
    gate.checkpoint()?;
    let mut signal: i32 = -1;
    // SAFETY: the kernel writes one int to `signal`.
    unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) };
    check_eq("PR_GET_PDEATHSIG", signal, wanted)?;
    check("no signal came", take(mask(&[wanted]), Duration::from_millis(200))?.is_none())
}
