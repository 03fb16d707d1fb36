//! Huge pages that a process wants only where it asked for them: PR_THP_DISABLE_EXCEPT_ADVISED.
//@ needs: [kernel:6.18]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{must, outcome, prctl};

const EXCEPT_ADVISED: u64 = 1 << 1;

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the operation takes numbers only.
    let set = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1u64, EXCEPT_ADVISED, 0u64, 0u64) };
    must("PR_SET_THP_DISABLE", outcome(set))?;
    let ask = || must("PR_GET_THP_DISABLE", prctl(libc::PR_GET_THP_DISABLE, 0));
    check_eq("where huge pages are disabled", ask()?, 3)?;
    gate.checkpoint()?;
    check_eq("where huge pages are disabled", ask()?, 3)
}
