//! The slack that the kernel may add to each thread's timers.
use crate::gate::{Gate, Verdict};
use crate::tools_tasks::{must, prctl};
use crate::tools_threads::{Setup, each_thread};

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |slack: u64| -> Setup {
        Box::new(move || must("PR_SET_TIMERSLACK", prctl(libc::PR_SET_TIMERSLACK, slack)).map(drop))
    };
    let observe = || must("PR_GET_TIMERSLACK", prctl(libc::PR_GET_TIMERSLACK, 0));
    each_thread(gate, vec![setup(1), setup(123_456), setup(2_000_000_000)], observe)
}
