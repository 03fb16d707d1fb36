//! Signal descriptors keep their masks and flags; signals queued before are read after, in order and with their values.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{fcntl, fdinfo, flags, owned, read_once};
use crate::tools_signals::{Info, change_mask, mask, queue};
use nix::errno::Errno;
use std::os::fd::OwnedFd;

fn signalfd(set: u64, flags: i32) -> Verdict<OwnedFd> {
    // SAFETY: the kernel reads the eight bytes of the set.
    owned(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, 8usize, flags) })
}

/// Signal, code and value of what is read next.
fn next(fd: &OwnedFd) -> Result<(i32, i32, u64), Errno> {
    let info = read_once(fd, 128)?;
    let word = |at: usize| i32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    // struct signalfd_siginfo: ssi_signo 0, ssi_code 8, ssi_ptr 48.
    let mut value = [0; 8];
    value.copy_from_slice(&info[48..56]);
    Ok((word(0), word(8), u64::from_ne_bytes(value)))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (usr1, usr2, rt) = (libc::SIGUSR1, libc::SIGUSR2, libc::SIGRTMIN() + 3);
    change_mask(libc::SIG_BLOCK, mask(&[usr1, usr2, rt]));
    let both = signalfd(mask(&[usr1, rt]), libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)?;
    let other = signalfd(mask(&[usr2]), libc::SFD_NONBLOCK)?;
    let pid = nix::unistd::getpid().as_raw();
    for value in [0xdead_beef_0000_0001, 2, 3] {
        let info = Info::queued(rt, libc::SI_QUEUE, (pid, 0), value);
        check_eq("queueing", queue(pid, None, &info), (0, 0))?;
    }
    gate.checkpoint()?;
    let sets = (fdinfo(&both, "sigmask")?, fdinfo(&other, "sigmask")?);
    let shown = |set: u64| format!("{set:016x}");
    check_eq("the masks", sets, (shown(mask(&[usr1, rt])), shown(mask(&[usr2]))))?;
    check_eq("nonblocking", flags(&both)? & libc::O_NONBLOCK, libc::O_NONBLOCK)?;
    let close = (fcntl(&both, libc::F_GETFD, 0)?, fcntl(&other, libc::F_GETFD, 0)?);
    check_eq("close-on-exec", close, (1, 0))?;
    check_eq("the other descriptor", next(&other), Err(Errno::EAGAIN))?;
    for value in [0xdead_beef_0000_0001, 2, 3] {
        check_eq("a queued signal", next(&both), Ok((rt, libc::SI_QUEUE, value)))?;
    }
    check_eq("when all are read", next(&both), Err(Errno::EAGAIN))?;
    nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGUSR2)?;
    check_eq("a new signal", next(&other).map(|(signal, ..)| signal), Ok(usr2))
}
