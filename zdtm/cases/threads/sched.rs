//! Each thread keeps its scheduling policy, priority, nice value and reset-on-fork flag.
//@ needs: [cap:sys_nice]
use crate::gate::{Gate, Verdict};
use crate::tools_sched::{Attributes, own_attributes, set_own_attributes};
use crate::tools_threads::{Setup, each_thread};

const RESET_ON_FORK: u64 = 1;

pub fn run(gate: &mut Gate) -> Verdict {
    let of = |policy: i32, nice: i32, priority: u32, flags: u64| Attributes {
        policy: policy as u32,
        flags,
        nice,
        priority,
        ..Attributes::default()
    };
    let wanted = [
        of(libc::SCHED_OTHER, 5, 0, 0),
        of(libc::SCHED_OTHER, -7, 0, RESET_ON_FORK),
        of(libc::SCHED_BATCH, 19, 0, 0),
        of(libc::SCHED_IDLE, 0, 0, 0),
        of(libc::SCHED_FIFO, 0, 10, 0),
        of(libc::SCHED_RR, 0, 20, RESET_ON_FORK),
    ];
    let setup = |wanted: Attributes| -> Setup { Box::new(move || set_own_attributes(&wanted)) };
    each_thread(gate, wanted.into_iter().map(setup).collect(), own_attributes)
}
