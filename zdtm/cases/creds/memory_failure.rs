//! What each thread wants done when memory of it fails: killed at once, or when it touches it.
use crate::gate::{Gate, Verdict};
use crate::tools_tasks::{must, outcome, prctl};
use crate::tools_threads::{Setup, each_thread};

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |policy: i32| -> Setup {
        Box::new(move || {
            let (set, policy) = (libc::PR_MCE_KILL_SET as u64, policy as u64);
            // SAFETY: the call takes numbers only.
            must("PR_MCE_KILL", outcome(unsafe { libc::prctl(libc::PR_MCE_KILL, set, policy, 0u64, 0u64) })).map(drop)
        })
    };
    let observe = || must("PR_MCE_KILL_GET", prctl(libc::PR_MCE_KILL_GET, 0));
    each_thread(gate, vec![setup(libc::PR_MCE_KILL_EARLY), setup(libc::PR_MCE_KILL_LATE)], observe)
}
