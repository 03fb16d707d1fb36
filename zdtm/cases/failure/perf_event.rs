//! A performance counter is refused by name; it still counts.
//@ dump-fails: "[perf_event]"
//@ needs: [kernel:perf, cap:perfmon]
use crate::gate::{Gate, Verdict, check};
use crate::tools_files::{owned, read_once};

pub fn run(gate: &mut Gate) -> Verdict {
    // struct perf_event_attr, version 0 (64 bytes): PERF_TYPE_SOFTWARE (1), size, PERF_COUNT_SW_TASK_CLOCK (1).
    let mut attributes = [0u32; 16];
    attributes[..3].copy_from_slice(&[1, 64, 1]);
    // SAFETY: the structure outlives the call.
    let counter = owned(unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) })?;
    let count = || -> Verdict<u64> { Ok(u64::from_ne_bytes(read_once(&counter, 8)?[..].try_into()?)) };
    let before = count()?;
    gate.checkpoint()?;
    check("the counter goes on", count()? > before)
}
