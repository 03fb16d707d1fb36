//! The priority of input and output of each thread.
//@ needs: [cap:sys_nice]
use crate::gate::{Gate, Verdict};
use crate::tools_creds::must_call;
use crate::tools_threads::{Setup, each_thread};

pub fn run(gate: &mut Gate) -> Verdict {
    // Class and level: real-time 3, best effort 7 and 0, idle.
    let setup = |class: i64, level: i64| -> Setup {
        Box::new(move || must_call(libc::SYS_ioprio_set, [1, 0, class << 13 | level]).map(drop))
    };
    let setups = vec![setup(1, 3), setup(2, 7), setup(2, 0), setup(3, 0)];
    each_thread(gate, setups, || must_call(libc::SYS_ioprio_get, [1, 0, 0]))
}
