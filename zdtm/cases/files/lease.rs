//! Leases stay, for reading and for writing, and a stranger's open is announced by the chosen signal.
//@ routes: [once, thrice, kill-engine] # the copy of the scratch directory that leave-running makes would break the leases
//@ options: --file-locks
//@ needs: [cap:lease]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::{F_SETSIG, fcntl};
use nix::errno::Errno;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

const SIGNAL: i32 = 42;

pub fn run(gate: &mut Gate) -> Verdict {
    for name in ["read", "written"] {
        fs::write(gate.path(name), b"")?;
    }
    let read = File::open(gate.path("read"))?;
    let written = File::options().read(true).write(true).open(gate.path("written"))?;
    // SAFETY: the set is filled before it is used; the calls change this process's own mask.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, SIGNAL);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
    fcntl(&read, F_SETSIG, SIGNAL)?;
    fcntl(&written, F_SETSIG, SIGNAL)?;
    fcntl(&read, libc::F_SETLEASE, libc::F_RDLCK)?;
    fcntl(&written, libc::F_SETLEASE, libc::F_WRLCK)?;
    gate.checkpoint()?;
    check_eq("the lease for reading", fcntl(&read, libc::F_GETLEASE, 0)?, libc::F_RDLCK)?;
    check_eq("the lease for writing", fcntl(&written, libc::F_GETLEASE, 0)?, libc::F_WRLCK)?;
    check_eq("signals before anything happened", next_signal(), Err(Errno::EAGAIN))?;
    for (name, lease) in [("read", &read), ("written", &written)] {
        let path = gate.path(name);
        let stranger = gate.fork(|_| {
            let opened = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
            let error = opened.err().and_then(|e| e.raw_os_error());
            check_eq("a stranger's open", error, Some(libc::EWOULDBLOCK))
        })?;
        wait_ok(stranger)?;
        check_eq("signal and descriptor", next_signal()?, (SIGNAL, lease.as_raw_fd()))?;
        fcntl(lease, libc::F_SETLEASE, libc::F_UNLCK)?;
        check_eq("an open after the lease is given up", File::options().write(true).open(&path).is_ok(), true)?;
    }
    Ok(())
}

/// Number and descriptor (si_fd) of a pending signal.
fn next_signal() -> Result<(i32, i32), Errno> {
    // SAFETY: all-zero is valid for the three structures, which outlive the calls.
    unsafe {
        let (mut set, mut info): (libc::sigset_t, libc::siginfo_t) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, SIGNAL);
        let signal = Errno::result(libc::sigtimedwait(&set, &mut info, &std::mem::zeroed()))?;
        // si_fd follows si_band in the union, which starts behind three ints and four bytes of padding.
        let fd = (&raw const info).cast::<u8>().add(16 + size_of::<libc::c_long>()).cast::<i32>().read();
        Ok((signal, fd))
    }
}
