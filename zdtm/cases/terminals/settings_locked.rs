//! Settings that are locked stay as they are and locked; others can be changed.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_terminals::{change, pair};
use nix::errno::Errno;
use nix::sys::termios::{LocalFlags, tcgetattr};
use std::os::fd::AsRawFd;

fn lock(fd: &impl AsRawFd, request: libc::Ioctl, locks: &mut [u32; 16]) -> Verdict {
    // SAFETY: the structure has no more than these 64 bytes.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, locks.as_mut_ptr()) })?;
    Ok(())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (_master, slave) = pair()?;
    change(&slave, |settings| settings.local_flags.remove(LocalFlags::ISIG))?;
    let mut locks = [0; 16];
    locks[3] = LocalFlags::ISIG.bits() | LocalFlags::ECHO.bits();
    lock(&slave, libc::TIOCSLCKTRMIOS, &mut locks)?;
    gate.checkpoint()?;
    let mut now = [0; 16];
    lock(&slave, libc::TIOCGLCKTRMIOS, &mut now)?;
    check_eq("the locks", now[..4].to_vec(), locks[..4].to_vec())?;
    change(&slave, |settings| {
        settings.local_flags.insert(LocalFlags::ISIG);
        settings.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHOE);
    })?;
    let flags = tcgetattr(&slave)?.local_flags;
    check("the locked flags stayed", !flags.contains(LocalFlags::ISIG) && flags.contains(LocalFlags::ECHO))?;
    check("the other changed", !flags.contains(LocalFlags::ECHOE))
}
