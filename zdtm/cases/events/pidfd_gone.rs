//! Pidfds of processes that are gone: readable, no signal reaches them, and two of one process are still of one.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_events::{pidfd, polled, signal};
use crate::tools_files::{fdinfo, stat};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let mut all = Vec::new();
    for number in [2, 1] {
        let child = gate.fork(|_| Ok(()))?;
        for _ in 0..number {
            all.push(pidfd(child, 0)?);
        }
        wait_ok(child)?;
    }
    let same = |all: &[std::os::fd::OwnedFd]| Ok::<_, Errno>(stat(&all[0])?.st_ino == stat(&all[1])?.st_ino);
    let before = same(&all)?;
    gate.checkpoint()?;
    for fd in &all {
        check_eq("what poll says", polled(fd)? & libc::POLLIN, libc::POLLIN)?;
        check_eq("a signal", signal(fd, 0), Err(Errno::ESRCH))?;
        check_eq("the pid", fdinfo(fd, "Pid")?, "-1".to_owned())?;
    }
    check_eq("whether two of one process share an inode", same(&all)?, before)
}
