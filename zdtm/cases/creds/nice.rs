//! The nice value of a process.
//@ needs: [cap:sys_nice]
use crate::gate::{Gate, Verdict};
use crate::tools_creds::{Setup, each_child, must_call};
use crate::tools_tasks::stat_fields;

/// The value as the call gives it (20 less the value), and as /proc does.
fn observe() -> Verdict<(i64, String)> {
    Ok((must_call(libc::SYS_getpriority, [0, 0, 0])?, stat_fields("/proc/self/stat")?[16].clone()))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |nice: i64| -> Setup { Box::new(move || must_call(libc::SYS_setpriority, [0, 0, nice]).map(drop)) };
    each_child(gate, vec![setup(19), setup(-20), setup(1), setup(-5)], observe)
}
