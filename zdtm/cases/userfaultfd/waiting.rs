//! A thread that waits in a fault which nobody has read yet, and one that waits for faults: the fault comes, and the thread
//! goes on when it is resolved.
//@ needs: [kernel:userfaultfd, cap:sys_ptrace, kernel:6.7]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::patience;
use crate::tools_memory::Area;
use crate::tools_threads::{Call, join, spawn};
use crate::tools_userfault::{Faults, MISSING};
use std::os::fd::AsRawFd;
use std::sync::Arc;

pub fn run(gate: &mut Gate) -> Verdict {
    let (busy, quiet) = (Arc::new(Faults::new(0)?), Arc::new(Faults::new(0)?));
    let (area, other) = (Area::private(4)?, Area::private(4)?);
    busy.register(&area, MISSING)?;
    quiet.register(&other, MISSING)?;
    let own = Arc::clone(&quiet);
    let handler = Call::start(libc::SYS_read, move || own.next())?;
    let reader = spawn(move || area.word(2))?;
    // The kernel says so when a fault has come.
    let mut poll = [libc::pollfd { fd: busy.0.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    crate::tools_files::fcntl(&busy.0, libc::F_SETFL, libc::O_NONBLOCK)?;
    // SAFETY: one valid structure.
    let ready = unsafe { libc::poll(poll.as_mut_ptr(), 1, patience().as_millis() as i32) };
    check_eq("descriptors with a fault", ready, 1)?;
    gate.checkpoint()?;
    // SAFETY: one valid structure.
    let ready = unsafe { libc::poll(poll.as_mut_ptr(), 1, patience().as_millis() as i32) };
    check_eq("descriptors with a fault afterwards", (ready, poll[0].revents), (1, libc::POLLIN))?;
    check_eq("the fault", busy.next()?, (0, area.at(2)))?;
    busy.copy(&area.part(2..3), 4)?;
    check_eq("what the thread read", join(reader)?, 4)?;
    handler.still()?;
    let second = spawn(move || other.word(0))?;
    check_eq("the fault that was waited for", handler.result()??, (0, other.at(0)))?;
    quiet.zero(&other.part(0..1))?;
    check_eq("what the second thread read", join(second)?, 0)
}
