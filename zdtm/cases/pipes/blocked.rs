//! Tasks blocked in reading an empty pipe, writing a full one, and polling wait on, and are never interrupted.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{read_once, write_once};
use crate::tools_tasks::await_call;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe, write};
use std::os::fd::AsFd;

/// More than the pipe holds: the write stays half done.
const LARGE: usize = 200_000;

pub fn run(gate: &mut Gate) -> Verdict {
    let (empty, full, quiet) = (pipe()?, pipe()?, pipe()?);
    let reader = gate.fork(|_| check_eq("what the reader got", read_once(&empty.0, 100), Ok(b"at last".to_vec())))?;
    let writer = gate.fork(|_| {
        let data: Vec<u8> = (0..LARGE).map(|i| (i % 251) as u8).collect();
        check_eq("what the writer wrote", write(&full.1, &data), Ok(LARGE))
    })?;
    let poller = gate.fork(|_| {
        let mut fds = [PollFd::new(quiet.0.as_fd(), PollFlags::POLLIN)];
        check_eq("what poll found", poll(&mut fds, PollTimeout::NONE), Ok(1))?;
        check_eq("its events", fds[0].revents(), Some(PollFlags::POLLIN))
    })?;
    await_call(reader, libc::SYS_read)?;
    await_call(writer, libc::SYS_write)?;
    crate::tools_tasks::until("the third child to poll", || {
        let text = std::fs::read_to_string(format!("/proc/{poller}/wchan"))?;
        Ok(text.contains("poll"))
    })?;
    gate.checkpoint()?;
    write_once(&empty.1, b"at last")?;
    write_once(&quiet.1, b"!")?;
    wait_ok(reader)?;
    wait_ok(poller)?;
    let mut got = 0;
    while got < LARGE {
        let data = read_once(&full.0, 7_000)?;
        check("the bytes in order", data.iter().enumerate().all(|(i, b)| usize::from(*b) == (got + i) % 251))?;
        got += data.len();
    }
    check_eq("the bytes", got, LARGE)?;
    wait_ok(writer)
}
