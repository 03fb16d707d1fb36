//! A pending signal of asynchronous input tells the descriptor and what is ready there; the next event sends another.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{Info, change_mask, mask, take_now};
use crate::tools_tasks::{must, outcome};
use std::io::{Read as _, Write as _, pipe};
use std::os::fd::AsRawFd as _;

/// `si_code` of a descriptor that can be read.
const POLL_IN: i32 = 1;

fn fcntl(fd: i32, command: i32, value: i32) -> Verdict {
    // SAFETY: the commands used take a number.
    must(&format!("fcntl {command}"), outcome(unsafe { libc::fcntl(fd, command, value) })).map(drop)
}

/// The information of a readable pipe: POLL_IN, the ready events, the descriptor.
fn readable(signal: i32, fd: i32) -> Info {
    let mut info = Info([0; 128]);
    info.put(0, &signal.to_ne_bytes());
    info.put(8, &POLL_IN.to_ne_bytes());
    // POLLIN | POLLRDNORM.
    info.put(16, &0x41u64.to_ne_bytes());
    info.put(24, &fd.to_ne_bytes());
    info
}

pub fn run(gate: &mut Gate) -> Verdict {
    let signal = libc::SIGRTMIN() + 9;
    change_mask(libc::SIG_BLOCK, mask(&[signal]));
    let (mut reader, mut writer) = pipe()?;
    let fd = reader.as_raw_fd();
    fcntl(fd, libc::F_SETOWN, nix::unistd::getpid().as_raw())?;
    // F_SETSIG.
    fcntl(fd, 10, signal)?;
    fcntl(fd, libc::F_SETFL, libc::O_ASYNC)?;
    writer.write_all(b"a")?;
    gate.checkpoint()?;
    check_eq("the pending signal", take_now(mask(&[signal]))?, Some(readable(signal, fd)))?;
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    check_eq("another signal", take_now(mask(&[signal]))?, None)?;
    writer.write_all(b"b")?;
    check_eq("the next signal", take_now(mask(&[signal]))?, Some(readable(signal, fd)))
}
