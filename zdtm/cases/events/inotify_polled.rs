//! An inotify instance in an epoll set, with an owner that gets a signal.
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_events::{epoll, ready, watch};
use crate::tools_files::{F_SETSIG, fcntl, flags};
use crate::tools_signals::{caught, count};
use crate::tools_watch::{add, check_events, inotify};
use libc::IN_MODIFY;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let (notices, set) = (inotify()?, epoll()?);
    fs::write(gate.path("file"), b"")?;
    let number = add(&notices, &gate.path("file"), IN_MODIFY)?;
    watch(&set, notices.as_raw_fd(), libc::EPOLLIN, 7)?;
    count(libc::SIGUSR1, 0)?;
    fcntl(&notices, F_SETSIG, libc::SIGUSR1)?;
    fcntl(&notices, libc::F_SETOWN, nix::unistd::getpid().as_raw())?;
    fcntl(&notices, libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK)?;
    let before = flags(&notices)?;
    gate.checkpoint()?;
    check_eq("the flags", flags(&notices)?, before)?;
    check_eq("ready before", (ready(&set)?, caught(libc::SIGUSR1)), (vec![], 0))?;
    File::options().append(true).open(gate.path("file"))?.write_all(b"text")?;
    check_eq("ready after", (ready(&set)?, caught(libc::SIGUSR1)), (vec![(libc::EPOLLIN, 7)], 1))?;
    check_events("the event", &notices, &[(number, IN_MODIFY, "")])
}
