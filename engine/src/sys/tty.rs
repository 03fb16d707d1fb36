//! Terminals: the ioctls of ioctl_tty(2).

use super::{Errno, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The settings of a terminal: `struct termios2` of the kernel (on POWER, which has the speeds from the first, `struct
/// termios`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Termios {
    /// Input modes.
    pub iflag: u32,
    /// Output modes.
    pub oflag: u32,
    /// Control modes.
    pub cflag: u32,
    /// Local modes.
    pub lflag: u32,
    /// Line discipline, as a note: what the kernel goes by is that of TIOCGETD.
    pub line: u8,
    /// Control characters.
    pub cc: [u8; CHARACTERS],
    /// Input speed in baud.
    pub ispeed: u32,
    /// Output speed in baud.
    pub ospeed: u32,
}

/// How many control characters there are.
pub const CHARACTERS: usize = 19;

/// The size of the structure.
pub const TERMIOS: usize = 44;

use stasis_arch::native::TERMIOS as ABI;

impl Termios {
    /// The kernel's structure.
    pub fn to_bytes(&self) -> [u8; TERMIOS] {
        let mut bytes = [0; TERMIOS];
        for (at, word) in [(0, self.iflag), (4, self.oflag), (8, self.cflag), (12, self.lflag)] {
            bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        bytes[ABI.line] = self.line;
        bytes[ABI.cc..ABI.cc + CHARACTERS].copy_from_slice(&self.cc);
        bytes[36..40].copy_from_slice(&self.ispeed.to_ne_bytes());
        bytes[40..44].copy_from_slice(&self.ospeed.to_ne_bytes());
        bytes
    }

    /// From the kernel's structure.
    pub fn from_bytes(bytes: &[u8; TERMIOS]) -> Termios {
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mut cc = [0; CHARACTERS];
        cc.copy_from_slice(&bytes[ABI.cc..ABI.cc + CHARACTERS]);
        Termios {
            iflag: word(0),
            oflag: word(4),
            cflag: word(8),
            lflag: word(12),
            line: bytes[ABI.line],
            cc,
            ispeed: word(36),
            ospeed: word(40),
        }
    }
}

/// The request that sets a terminal's settings at once, for a batch.
pub const SET_TERMIOS: u64 = ABI.set;

/// An ioctl that reads or writes `bytes`.
fn with<const N: usize>(fd: BorrowedFd<'_>, request: u64, bytes: &mut [u8; N]) -> Result<i64> {
    // SAFETY: the callers pass as many bytes as the request's structure has.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, bytes.as_mut_ptr()) }.into())
}

fn read_int(fd: BorrowedFd<'_>, request: u64) -> Result<i32> {
    let mut bytes = [0; 4];
    with(fd, request, &mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}

fn write_int(fd: BorrowedFd<'_>, request: u64, value: i32) -> Result<()> {
    with(fd, request, &mut value.to_ne_bytes()).map(drop)
}

fn plain(fd: BorrowedFd<'_>, request: u64, argument: u64) -> Result<i64> {
    // SAFETY: a request that takes an integer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) }.into())
}

/// The settings (TCGETS2). Of a pseudo terminal's master: those of its slave.
pub fn termios(fd: BorrowedFd<'_>) -> Result<Termios> {
    let mut bytes = [0; TERMIOS];
    with(fd, ABI.get, &mut bytes)?;
    Ok(Termios::from_bytes(&bytes))
}

/// Sets them at once (TCSETS2).
pub fn set_termios(fd: BorrowedFd<'_>, termios: &Termios) -> Result<()> {
    with(fd, ABI.set, &mut termios.to_bytes()).map(drop)
}

/// What of the settings is locked (TIOCGLCKTRMIOS): without the speeds.
pub fn locked_termios(fd: BorrowedFd<'_>) -> Result<Termios> {
    let mut bytes = [0; TERMIOS];
    with(fd, libc::TIOCGLCKTRMIOS, &mut bytes)?;
    Ok(Termios::from_bytes(&bytes))
}

/// Locks settings (TIOCSLCKTRMIOS); takes CAP_SYS_ADMIN.
pub fn set_locked_termios(fd: BorrowedFd<'_>, termios: &Termios) -> Result<()> {
    with(fd, libc::TIOCSLCKTRMIOS, &mut termios.to_bytes()).map(drop)
}

/// Rows, columns, width and height (TIOCGWINSZ).
pub fn window_size(fd: BorrowedFd<'_>) -> Result<[u16; 4]> {
    let mut bytes = [0; 8];
    with(fd, libc::TIOCGWINSZ, &mut bytes)?;
    let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    Ok([word(0), word(2), word(4), word(6)])
}

/// Sets them (TIOCSWINSZ), for both sides of a pseudo terminal.
pub fn set_window_size(fd: BorrowedFd<'_>, size: [u16; 4]) -> Result<()> {
    let mut bytes = [0; 8];
    for (at, word) in size.iter().enumerate() {
        bytes[2 * at..2 * at + 2].copy_from_slice(&word.to_ne_bytes());
    }
    with(fd, libc::TIOCSWINSZ, &mut bytes).map(drop)
}

/// The line discipline (TIOCGETD): 0 is N_TTY.
pub fn discipline(fd: BorrowedFd<'_>) -> Result<i32> {
    read_int(fd, libc::TIOCGETD)
}

/// The device that the terminal is, whatever it was opened through (TIOCGDEV).
pub fn device(fd: BorrowedFd<'_>) -> Result<u64> {
    let number = read_int(fd, libc::TIOCGDEV)? as u32;
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    Ok(nix::sys::stat::makedev(major.into(), minor.into()))
}

/// The number of a master's slave (TIOCGPTN).
pub fn number(master: BorrowedFd<'_>) -> Result<u32> {
    read_int(master, libc::TIOCGPTN).map(|n| n as u32)
}

/// Whether the slave of a master cannot be opened (TIOCGPTLCK).
pub fn is_locked(master: BorrowedFd<'_>) -> Result<bool> {
    read_int(master, libc::TIOCGPTLCK).map(|n| n != 0)
}

/// Locks the slave or lets it be opened (TIOCSPTLCK).
pub fn lock(master: BorrowedFd<'_>, locked: bool) -> Result<()> {
    write_int(master, libc::TIOCSPTLCK, locked.into())
}

/// Whether a master is in packet mode (TIOCGPKT).
pub fn packet_mode(master: BorrowedFd<'_>) -> Result<bool> {
    read_int(master, libc::TIOCGPKT).map(|n| n != 0)
}

/// Sets packet mode (TIOCPKT).
pub fn set_packet_mode(master: BorrowedFd<'_>, on: bool) -> Result<()> {
    write_int(master, libc::TIOCPKT, on.into())
}

/// Whether only root can open the terminal again (TIOCGEXCL).
pub fn is_exclusive(fd: BorrowedFd<'_>) -> Result<bool> {
    read_int(fd, libc::TIOCGEXCL).map(|n| n != 0)
}

/// Makes it so (TIOCEXCL).
pub fn set_exclusive(fd: BorrowedFd<'_>) -> Result<()> {
    plain(fd, libc::TIOCEXCL, 0).map(drop)
}

/// Opens the slave of a master (TIOCGPTPEER), whatever its path; `flags` as for open(2).
pub fn open_peer(master: BorrowedFd<'_>, flags: i32) -> Result<OwnedFd> {
    let flags = flags | libc::O_NOCTTY | libc::O_CLOEXEC;
    let fd = plain(master, libc::TIOCGPTPEER, flags as u64)?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The session that a terminal controls (TIOCGSID), 0 if none. A master tells about its slave.
pub fn session(fd: BorrowedFd<'_>) -> Result<i32> {
    match read_int(fd, libc::TIOCGSID) {
        Err(Errno::ENOTTY) => Ok(0),
        other => other,
    }
}

/// The foreground process group (TIOCGPGRP), 0 if none. A master tells about its slave.
pub fn foreground(fd: BorrowedFd<'_>) -> Result<i32> {
    match read_int(fd, libc::TIOCGPGRP) {
        Err(Errno::ENOTTY) => Ok(0),
        other => other,
    }
}

/// Sets the foreground group of our own controlling terminal (TIOCSPGRP).
pub fn set_foreground(fd: BorrowedFd<'_>, group: i32) -> Result<()> {
    write_int(fd, libc::TIOCSPGRP, group)
}

/// Hangs a terminal up (TIOCVHANGUP): whoever has it open can do no more with it. Takes CAP_SYS_ADMIN.
pub fn hang_up(fd: BorrowedFd<'_>) -> Result<()> {
    plain(fd, libc::TIOCVHANGUP, 0).map(drop)
}

/// Stops or starts output (TCXONC).
pub fn stop_output(fd: BorrowedFd<'_>, stop: bool) -> Result<()> {
    plain(fd, libc::TCXONC, if stop { libc::TCOOFF } else { libc::TCOON } as u64).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn settings_go_both_ways() {
        let bytes: [u8; TERMIOS] = std::array::from_fn(|i| i as u8);
        let termios = Termios::from_bytes(&bytes);
        assert_eq!(termios.to_bytes(), bytes);
        assert_eq!(termios.ospeed.to_ne_bytes(), [40, 41, 42, 43]);
    }

    #[test]
    fn a_pair_says_what_it_is() {
        let pair = nix::pty::openpty(None, None).unwrap();
        let (master, slave) = (pair.master.as_fd(), pair.slave.as_fd());
        set_window_size(master, [24, 80, 1, 2]).unwrap();
        assert_eq!(window_size(slave), Ok([24, 80, 1, 2]));
        let mut termios = super::termios(slave).unwrap();
        termios.cc[0] = 7;
        set_termios(slave, &termios).unwrap();
        assert_eq!(super::termios(master), Ok(termios));
        assert_eq!(device(slave).map(nix::sys::stat::major), Ok(136));
        assert_eq!(device(slave).map(nix::sys::stat::minor), number(master).map(u64::from));
        assert_eq!((session(master), foreground(slave), is_locked(master)), (Ok(0), Ok(0), Ok(false)));
    }
}
