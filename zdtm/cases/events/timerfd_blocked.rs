//! A task that waits for a timer descriptor waits on and is not interrupted.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_events::{set_timer, timerfd};
use crate::tools_files::read_once;
use crate::tools_relatives::await_call;
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let timer = timerfd(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC)?;
    set_timer(&timer, 0, Duration::from_secs(3600), Duration::ZERO)?;
    let reader =
        gate.fork(|_| check_eq("what the reader got", read_once(&timer, 8), Ok(1u64.to_ne_bytes().to_vec())))?;
    await_call(reader, libc::SYS_read)?;
    gate.checkpoint()?;
    await_call(reader, libc::SYS_read)?;
    set_timer(&timer, 0, Duration::from_millis(1), Duration::ZERO)?;
    wait_ok(reader)
}
