//! Processes that wait on a futex in a shared file mapping, each at an address of its own, are woken by each other.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_that, child};
use crate::tools_threads::futex;
use std::fs::File;
use std::os::fd::AsRawFd as _;

fn map(file: &File) -> Verdict<&'static Word> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh shared mapping at an address of the kernel's choice, never unmapped.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    check("the mapping", at != libc::MAP_FAILED)?;
    // SAFETY: the mapping is a page of shared memory; a word of it is valid while the process lives.
    Ok(unsafe { &*at.cast::<Word>() })
}

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::options().read(true).write(true).create(true).truncate(true).open("futex")?;
    file.set_len(4096)?;
    let first = map(&file)?;
    let mut waiters = Vec::new();
    for _ in 0..2 {
        waiters.push(child(gate, |_| {
            let own = map(&file)?;
            check("the addresses differ", own.as_ptr() != first.as_ptr())?;
            check_eq("the wait", futex(own, libc::FUTEX_WAIT, 0), (0, 0))
        })?);
    }
    for waiter in &waiters {
        let path = format!("/proc/{waiter}/syscall");
        let call = format!("{} ", libc::SYS_futex);
        await_that("the wait", || Ok(std::fs::read_to_string(&path)?.starts_with(&call)))?;
    }
    gate.checkpoint()?;
    let mut woken = 0;
    await_that("two waiters", || {
        woken += futex(first, libc::FUTEX_WAKE, 1).0;
        Ok(woken == 2)
    })?;
    waiters.into_iter().try_for_each(wait_ok)
}
