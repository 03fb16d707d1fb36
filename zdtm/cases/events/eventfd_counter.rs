//! Eventfds keep their counters and modes: counter, semaphore, nonblocking, close-on-exec, zero, one, and the largest.
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
    let [one, one_left] = [nonblock, nonblock | EfdFlags::EFD_SEMAPHORE].map(|f| EventFd::from_value_and_flags(1, f));
    let (one, one_left) = (one?, one_left?);
    let none_left = EventFd::from_flags(nonblock | EfdFlags::EFD_SEMAPHORE)?;
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
    for (what, fd) in [("the counter at one", &one), ("the semaphore at one", &one_left)] {
        check_eq(what, (fd.read(), fd.read()), (Ok(1), Err(Errno::EAGAIN)))?;
    }
    for (what, fd, first) in [("one", &one, 2), ("one left", &one_left, 1), ("none left", &none_left, 1)] {
        check_eq(&format!("{what}: at zero"), fd.read(), Err(Errno::EAGAIN))?;
        fd.write(2)?;
        check_eq(&format!("{what}: of two"), fd.read(), Ok(first))?;
    }
    check_eq("a short read", read_once(&counter, 4), Err(Errno::EINVAL))?;
    semaphore.write(2)?;
    check_eq("the semaphore goes on", semaphore.read(), Ok(1))
}
