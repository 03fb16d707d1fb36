//! Asynchronous notice of a pipe (O_ASYNC) stays on: owner and signal as set, and the signal comes with its descriptor.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{F_SETSIG, fcntl, flags, write_once};
use nix::errno::Errno;
use nix::unistd::pipe;
use std::os::fd::AsRawFd;

const SIGNAL: i32 = 45;

pub fn run(gate: &mut Gate) -> Verdict {
    let ((reader, writer), (quiet, other)) = (pipe()?, pipe()?);
    // SAFETY: the set is filled before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, SIGNAL);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
    fcntl(&reader, libc::F_SETOWN, nix::unistd::getpid().as_raw())?;
    fcntl(&reader, F_SETSIG, SIGNAL)?;
    fcntl(&reader, libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK)?;
    // The same but for O_ASYNC.
    fcntl(&quiet, libc::F_SETOWN, nix::unistd::getpid().as_raw())?;
    fcntl(&quiet, F_SETSIG, SIGNAL)?;
    gate.checkpoint()?;
    let of_interest = libc::O_ASYNC | libc::O_NONBLOCK;
    check_eq("flags of the reader", flags(&reader)? & of_interest, of_interest)?;
    check_eq("flags of the quiet one", flags(&quiet)? & of_interest, 0)?;
    check_eq("a signal before anything happened", next_signal(), Err(Errno::EAGAIN))?;
    write_once(&other, b"x")?;
    check_eq("a signal of the quiet one", next_signal(), Err(Errno::EAGAIN))?;
    write_once(&writer, b"x")?;
    check_eq("descriptor and band", next_signal()?, (reader.as_raw_fd(), i64::from(libc::POLLIN | libc::POLLRDNORM)))
}

/// si_fd and si_band of a pending signal.
fn next_signal() -> Result<(i32, i64), Errno> {
    // SAFETY: all-zero is valid for the structures, which outlive the calls.
    unsafe {
        let (mut set, mut info): (libc::sigset_t, libc::siginfo_t) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, SIGNAL);
        Errno::result(libc::sigtimedwait(&set, &mut info, &std::mem::zeroed()))?;
        // si_band, a long, lies behind three ints and four bytes of padding; si_fd behind it.
        let band = (&raw const info).cast::<u8>().add(16).cast::<libc::c_long>();
        Ok((band.add(1).cast::<i32>().read(), band.read()))
    }
}
