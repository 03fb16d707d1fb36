//! Speeds that no code stands for, different in both directions.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_terminals::pair;
use nix::errno::Errno;
use std::os::fd::AsRawFd;

fn call(fd: &impl AsRawFd, request: libc::Ioctl, settings: &mut libc::termios2) -> Verdict {
    // SAFETY: the structure of both requests.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(settings)) })?;
    Ok(())
}

pub fn run(gate: &mut Gate) -> Verdict {
    const INPUT: u32 = 16;
    let (_master, slave) = pair()?;
    // SAFETY: integers only.
    let mut settings: libc::termios2 = unsafe { std::mem::zeroed() };
    call(&slave, libc::TCGETS2, &mut settings)?;
    settings.c_cflag &= !(libc::CBAUD | libc::CBAUD << INPUT);
    settings.c_cflag |= libc::BOTHER | libc::BOTHER << INPUT;
    (settings.c_ispeed, settings.c_ospeed) = (31_250, 123_457);
    call(&slave, libc::TCSETS2, &mut settings)?;
    gate.checkpoint()?;
    // SAFETY: as above.
    let mut now: libc::termios2 = unsafe { std::mem::zeroed() };
    call(&slave, libc::TCGETS2, &mut now)?;
    check_eq("the speeds", (now.c_ispeed, now.c_ospeed), (31_250, 123_457))?;
    check_eq("the control modes", now.c_cflag, settings.c_cflag)
}
