//! Pipes with one end closed: data then the end of file, EPIPE with SIGPIPE, and POLLHUP and POLLERR as before.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, write_once};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{pipe, write};
use std::os::fd::{AsFd, OwnedFd};

fn events(fd: &OwnedFd) -> Verdict<PollFlags> {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO)?;
    Ok(fds[0].revents().unwrap_or(PollFlags::empty()))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (with_data, writer) = pipe()?;
    write_once(&writer, b"left")?;
    drop(writer);
    let (without_data, _) = pipe()?;
    let (_, without_reader) = pipe()?;
    // The data of a pipe that nobody will read.
    let (reader, forgotten) = pipe()?;
    write_once(&forgotten, b"lost")?;
    drop(reader);
    gate.checkpoint()?;
    check_eq("events with data", events(&with_data)?, PollFlags::POLLIN | PollFlags::POLLHUP)?;
    check_eq("the data", read_once(&with_data, 100)?, b"left".to_vec())?;
    check_eq("events without", events(&with_data)?, PollFlags::POLLHUP)?;
    check_eq("the end", read_once(&with_data, 100)?, vec![])?;
    check_eq("the end of the empty pipe", read_once(&without_data, 100)?, vec![])?;
    check_eq("events of a pipe without reader", events(&without_reader)?, PollFlags::POLLOUT | PollFlags::POLLERR)?;
    let child = gate.fork(|_| write(&without_reader, b"x").map(drop).map_err(Into::into))?;
    check_eq("a writer's end", waitpid(child, None)?, WaitStatus::Signaled(child, Signal::SIGPIPE, false))?;
    let child = gate.fork(|_| {
        // SAFETY: the child's own action.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        check_eq("writing with SIGPIPE ignored", write(&without_reader, b"x"), Err(Errno::EPIPE))?;
        check_eq("writing to the forgotten pipe", write(&forgotten, b"x"), Err(Errno::EPIPE))
    })?;
    wait_ok(child)
}
