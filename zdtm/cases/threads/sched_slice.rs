//! Each thread of the normal policy keeps the time slice that it asked for (kernel 6.12).
//@ needs: [kernel:6.12]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_sched::{Attributes, own_attributes, set_own_attributes};
use crate::tools_threads::{Setup, each_thread};

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |runtime: u64| -> Setup {
        Box::new(move || {
            set_own_attributes(&Attributes { runtime, ..Attributes::default() })?;
            check_eq("the slice", own_attributes()?.runtime, runtime)
        })
    };
    each_thread(gate, vec![setup(500_000), setup(12_345_678)], own_attributes)
}
