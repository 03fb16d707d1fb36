//! POSIX semaphores: one in memory that relatives share, one with a name in a file system; a child waits for each.
//@ flavours: [host, ns]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_memory::Area;
use crate::tools_relatives::await_call;
use nix::errno::Errno;
use std::fs::OpenOptions;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(gate.path("semaphore"))?;
    file.set_len(crate::tools_memory::page() as u64)?;
    let (memory, named) =
        (Area::shared(1)?, Area::file(1, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, &file, 0)?);
    let both = [&memory, &named].map(|area| area.at(0) as *mut libc::sem_t);
    let mut children = Vec::new();
    for semaphore in both {
        // SAFETY: the memory is shared, large enough and aligned to a page.
        Errno::result(unsafe { libc::sem_init(semaphore, 1, 0) })?;
        let address = semaphore as usize;
        children.push(gate.fork(move |_| {
            // SAFETY: as above.
            Errno::result(unsafe { libc::sem_wait(address as *mut libc::sem_t) })?;
            Ok(())
        })?);
    }
    children.iter().try_for_each(|child| await_call(*child, libc::SYS_futex))?;
    gate.checkpoint()?;
    for semaphore in both {
        // SAFETY: as above.
        Errno::result(unsafe { libc::sem_post(semaphore).min(libc::sem_post(semaphore)) })?;
    }
    children.into_iter().try_for_each(wait_ok)?;
    for semaphore in both {
        let mut value = 0;
        // SAFETY: as above.
        Errno::result(unsafe { libc::sem_getvalue(semaphore, &raw mut value) })?;
        check_eq("the value", value, 1)?;
    }
    Ok(())
}
