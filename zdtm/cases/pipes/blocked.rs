//! Tasks blocked in reading an empty pipe, writing a full one, and polling wait on, and are never interrupted.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{fcntl, read_once, write_once};
use crate::tools_relatives::{await_call, until};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe, write};
use std::os::fd::AsFd;

/// Bytes of a write that is atomic (PIPE_BUF): all of it or nothing has been written.
const ATOMIC: usize = 4096;
/// More than the pipe holds: the write stays half done.
const LARGE: usize = 200_000;

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i % 251) as u8).collect()
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (empty, full, half, quiet) = (pipe()?, pipe()?, pipe()?, pipe()?);
    let room = fcntl(&full.1, libc::F_GETPIPE_SZ, 0)? as usize;
    write_once(&full.1, &vec![0; room])?;
    let reader = gate.fork(|_| check_eq("what the reader got", read_once(&empty.0, 100), Ok(b"at last".to_vec())))?;
    let atomic = gate.fork(|_| check_eq("the atomic write", write(&full.1, &bytes(ATOMIC)), Ok(ATOMIC)))?;
    let writer = gate.fork(|_| {
        // A write that is half done may end there (pipe(7)), but not with an error.
        let data = bytes(LARGE);
        let mut done = 0;
        while done < LARGE {
            done += write(&half.1, &data[done..])?;
        }
        Ok(())
    })?;
    let poller = gate.fork(|_| {
        let mut fds = [PollFd::new(quiet.0.as_fd(), PollFlags::POLLIN)];
        check_eq("what poll found", poll(&mut fds, PollTimeout::NONE), Ok(1))?;
        check_eq("its events", fds[0].revents(), Some(PollFlags::POLLIN))
    })?;
    await_call(reader, libc::SYS_read)?;
    await_call(atomic, libc::SYS_write)?;
    await_call(writer, libc::SYS_write)?;
    until("a child to poll", || Ok(std::fs::read_to_string(format!("/proc/{poller}/wchan"))?.contains("poll")))?;
    gate.checkpoint()?;
    write_once(&empty.1, b"at last")?;
    write_once(&quiet.1, b"!")?;
    wait_ok(reader)?;
    wait_ok(poller)?;
    check_eq("what filled the full pipe", read_once(&full.0, room)?.len(), room)?;
    wait_ok(atomic)?;
    check("the bytes of the atomic write", read_once(&full.0, room)? == bytes(ATOMIC))?;
    let mut got = Vec::new();
    while got.len() < LARGE {
        got.extend(read_once(&half.0, 7_000)?);
    }
    check("the bytes of the large write", got == bytes(LARGE))?;
    wait_ok(writer)
}
