//! A thread keeps its deadline policy: runtime, deadline and period.
//@ needs: [cap:sys_nice]
use crate::gate::{Gate, Verdict};
use crate::tools_sched::{Attributes, own_attributes, set_own_attributes};
use crate::tools_threads::{Setup, each_thread};

pub fn run(gate: &mut Gate) -> Verdict {
    let setup: Setup = Box::new(|| {
        let policy = libc::SCHED_DEADLINE as u32;
        let times = Attributes {
            policy,
            runtime: 1_100_000,
            deadline: 20_200_000,
            period: 100_300_000,
            ..Attributes::default()
        };
        set_own_attributes(&times)
    });
    each_thread(gate, vec![setup], own_attributes)
}
