//! A performance counter is refused by name; it still counts.
//@ dump-fails: "[perf_event]"
//@ needs: [kernel:perf, cap:perfmon]
use crate::gate::{Gate, Verdict, check};
use crate::tools_files::{owned, read_once};

pub fn run(gate: &mut Gate) -> Verdict {
    // struct perf_event_attr, version 0 (64 bytes): PERF_TYPE_SOFTWARE (1), size, PERF_COUNT_SW_TASK_CLOCK (1).
    let first = [1u32.to_ne_bytes(), 64u32.to_ne_bytes()].concat();
    let mut attributes = [0u64; 8];
    (attributes[0], attributes[1]) = (u64::from_ne_bytes(first[..].try_into()?), 1);
    // SAFETY: the structure outlives the call.
    let counter = owned(unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) })?;
    let count = || -> Verdict<u64> { Ok(u64::from_ne_bytes(read_once(&counter, 8)?[..].try_into()?)) };
    let before = count()?;
    gate.checkpoint()?;
    check("the counter goes on", count()? > before)
}
