//! Tasks blocked in reading a zero eventfd, and in writing a full one, wait on and are not interrupted.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_relatives::await_call;
use nix::sys::eventfd::EventFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (zero, full) = (EventFd::new()?, EventFd::new()?);
    full.write(u64::MAX - 1)?;
    let reader = gate.fork(|_| check_eq("what the reader got", zero.read(), Ok(42)))?;
    let writer = gate.fork(|_| check_eq("the writer's call", full.write(5), Ok(8)))?;
    await_call(reader, libc::SYS_read)?;
    await_call(writer, libc::SYS_write)?;
    gate.checkpoint()?;
    zero.write(42)?;
    check_eq("the full counter", full.read()?, u64::MAX - 1)?;
    wait_ok(reader)?;
    wait_ok(writer)?;
    check_eq("what the writer added", full.read()?, 5)
}
