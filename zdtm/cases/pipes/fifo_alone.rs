//! A fifo's lone reader knows whether there was ever a writer: POLLHUP only if there was; and lone writers get EPIPE.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, write_once};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, write};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

fn events(fd: &File) -> Verdict<PollFlags> {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO)?;
    Ok(fds[0].revents().unwrap_or(PollFlags::empty()))
}

fn reader(path: &Path) -> Verdict<File> {
    mkfifo(path, Mode::from_bits_truncate(0o600))?;
    Ok(File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let never = reader(&gate.path("never"))?;
    let left = reader(&gate.path("left"))?;
    drop(File::options().write(true).open(gate.path("left"))?);
    let data = reader(&gate.path("data"))?;
    write_once(&File::options().write(true).open(gate.path("data"))?, b"will")?;
    let gone = reader(&gate.path("gone"))?;
    let writer = File::options().write(true).open(gate.path("gone"))?;
    drop(gone);
    check_eq("events before", (events(&never)?, events(&left)?), (PollFlags::empty(), PollFlags::POLLHUP))?;
    gate.checkpoint()?;
    check_eq("events where there never was a writer", events(&never)?, PollFlags::empty())?;
    check_eq("reading there", read_once(&never, 1)?, vec![])?;
    check_eq("events where the writer has left", events(&left)?, PollFlags::POLLHUP)?;
    check_eq("events with data", events(&data)?, PollFlags::POLLIN | PollFlags::POLLHUP)?;
    check_eq("the data", read_once(&data, 10)?, b"will".to_vec())?;
    check_eq("the end", read_once(&data, 10)?, vec![])?;
    // SAFETY: this process's own action.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    check_eq("writing without a reader", write(&writer, b"x"), Err(Errno::EPIPE))?;
    let late = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(gate.path("never"))?;
    write_once(&late, b"hello")?;
    check_eq("what the first writer ever wrote", read_once(&never, 10)?, b"hello".to_vec())
}
