//! The terminal of a case that is a shell's job: the cell's init leads its session.

use nix::fcntl::{OFlag, open};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::{Mode, fstat};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;

/// Both sides of the terminal.
pub struct Terminal {
    /// How the engine names it: `tty[RDEV:DEV]`.
    pub key: String,
    _master: PtyMaster,
    slave: OwnedFd,
}

impl Terminal {
    /// Makes the terminal of this process's session, which has none yet.
    pub fn open() -> io::Result<Terminal> {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        // Whoever leads a session without a terminal gets the first that it opens.
        let slave = open(ptsname_r(&master)?.as_str(), OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        let stat = fstat(&slave)?;
        let key = format!("tty[{:x}:{:x}]", stat.st_rdev, stat.st_dev);
        Ok(Terminal { key, _master: master, slave })
    }

    /// It as the standard input of a process.
    pub fn input(&self) -> io::Result<Stdio> {
        Ok(Stdio::from(File::from(self.slave.try_clone()?)))
    }
}

/// Makes this process the foreground group of the terminal that is its standard input.
pub fn come_to_front() -> nix::Result<()> {
    let own = nix::unistd::getpid();
    nix::unistd::setpgid(own, own)?;
    let mut quiet = SigSet::empty();
    quiet.add(Signal::SIGTTOU);
    let before = quiet.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    nix::unistd::tcsetpgrp(io::stdin(), own)?;
    before.thread_set_mask()
}
