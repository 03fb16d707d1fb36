//! Eventfds keep their counters and modes: counter, semaphore, nonblocking, close-on-exec, zero, and the largest.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{fcntl, flags, read_once};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

pub fn run(gate: &mut Gate) -> Verdict {
    let nonblock = EfdFlags::EFD_NONBLOCK;
    let counter = EventFd::from_value_and_flags(7, EfdFlags::EFD_CLOEXEC)?;
    let semaphore = EventFd::from_value_and_flags(3, EfdFlags::EFD_SEMAPHORE | nonblock)?;
    let zero = EventFd::from_flags(nonblock)?;
    let largest = EventFd::from_flags(nonblock)?;
    counter.write(1 << 40)?;
    largest.write(u64::MAX - 1)?;
    gate.checkpoint()?;
    check_eq(
        "flags of the counter",
        (flags(&counter)? & libc::O_NONBLOCK, fcntl(&counter, libc::F_GETFD, 0)?),
        (0, 1),
    )?;
    check_eq("the counter", counter.read()?, 7 + (1 << 40))?;
    for n in 0..3 {
        check_eq(&format!("semaphore {n}"), semaphore.read(), Ok(1))?;
    }
    check_eq("the semaphore at zero", semaphore.read(), Err(Errno::EAGAIN))?;
    check_eq("the counter at zero", zero.read(), Err(Errno::EAGAIN))?;
    check_eq("adding to the largest", largest.write(1), Err(Errno::EAGAIN))?;
    check_eq("the largest", largest.read(), Ok(u64::MAX - 1))?;
    check_eq("a short read", read_once(&counter, 4), Err(Errno::EINVAL))?;
    semaphore.write(2)?;
    check_eq("the semaphore goes on", semaphore.read(), Ok(1))
}
