//! Terminals: pairs, the ioctls of ioctl_tty(2), sessions with a terminal.

use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools_files::read_once;
use crate::tools_relatives::{arrive, await_word, shared_word, until};
use crate::tools_unix::outsider;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{posix_openpt, unlockpt};
use nix::sys::stat::Mode;
use nix::sys::termios::{LocalFlags, OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{Pid, setsid, write};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::AtomicU32;

/// A master whose slave can be opened.
pub fn master() -> Verdict<OwnedFd> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY)?;
    unlockpt(&master)?;
    Ok(master.into())
}

/// The path of a master's slave.
pub fn path(master: &impl AsRawFd) -> Verdict<String> {
    Ok(format!("/dev/pts/{}", get(master, libc::TIOCGPTN)?))
}

/// A descriptor of a master's slave, which does not become a controlling terminal.
pub fn slave(master: &impl AsRawFd) -> Verdict<OwnedFd> {
    open_slave(master, OFlag::O_RDWR | OFlag::O_NOCTTY)
}

/// The same with flags.
pub fn open_slave(master: &impl AsRawFd, flags: OFlag) -> Verdict<OwnedFd> {
    Ok(open(path(master)?.as_str(), flags, Mode::empty())?)
}

/// Both sides of a pair.
pub fn pair() -> Verdict<(OwnedFd, OwnedFd)> {
    let master = master()?;
    let slave = slave(&master)?;
    Ok((master, slave))
}

/// An ioctl that fills in an integer.
pub fn get(fd: &impl AsRawFd, request: libc::Ioctl) -> Result<i32, Errno> {
    let mut value = 0;
    // SAFETY: the kernel writes an int.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut value) })?;
    Ok(value)
}

/// An ioctl that reads an integer.
pub fn set(fd: &impl AsRawFd, request: libc::Ioctl, value: i32) -> Result<(), Errno> {
    // SAFETY: the kernel reads an int.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw const value) }).map(drop)
}

/// An ioctl with a number for its argument.
pub fn request(fd: &impl AsRawFd, request: libc::Ioctl, argument: i32) -> Result<(), Errno> {
    // SAFETY: integers only.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) }).map(drop)
}

/// The size of a terminal's window.
pub fn window(fd: &impl AsRawFd) -> Verdict<[u16; 4]> {
    let mut size = [0u16; 4];
    // SAFETY: a struct winsize is four such words.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) })?;
    Ok(size)
}

/// Sets it.
pub fn set_window(fd: &impl AsRawFd, size: [u16; 4]) -> Verdict {
    // SAFETY: as above.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ, size.as_ptr()) })?;
    Ok(())
}

/// Changes a terminal's settings.
pub fn change(fd: &impl AsFd, how: impl FnOnce(&mut Termios)) -> Verdict {
    let mut settings = tcgetattr(fd)?;
    how(&mut settings);
    Ok(tcsetattr(fd, SetArg::TCSANOW, &settings)?)
}

/// No echo, and output as it is written.
pub fn plain(fd: &impl AsFd) -> Verdict {
    change(fd, |settings| {
        settings.local_flags.remove(LocalFlags::ECHO);
        settings.output_flags.remove(OutputFlags::OPOST);
    })
}

/// No lines, no echo, no signals: bytes as they come.
pub fn raw(fd: &impl AsFd) -> Verdict {
    change(fd, cfmakeraw)
}

/// What can be done with a descriptor now.
pub fn events(fd: &impl AsFd) -> Verdict<PollFlags> {
    let all = PollFlags::POLLIN | PollFlags::POLLOUT | PollFlags::POLLPRI;
    let mut polled = [PollFd::new(fd.as_fd(), all)];
    poll(&mut polled, PollTimeout::ZERO)?;
    Ok(polled[0].revents().unwrap_or(PollFlags::empty()))
}

/// Writes to a descriptor that does not wait, so much as it takes, but not more than some 500 bytes over `enough`.
pub fn fill(fd: &OwnedFd, enough: usize) -> Verdict<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < enough {
        let piece: Vec<u8> = (0..500).map(|n| ((all.len() + n) % 251) as u8).collect();
        match write(fd, &piece) {
            Ok(0) | Err(Errno::EAGAIN) => break,
            Ok(written) => all.extend(&piece[..written]),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(all)
}

/// Writes into a descriptor until it takes no more, also not when the kernel had the time to pass on what it keeps.
pub fn fill_up(fd: &OwnedFd) -> Verdict<Vec<u8>> {
    let mut all = Vec::new();
    let mut quiet = 0;
    while quiet < 20 {
        let more = fill(fd, usize::MAX)?;
        quiet = if more.is_empty() { quiet + 1 } else { 0 };
        all.extend(more);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(all)
}

/// Checks that what waits at a side, which does not wait, is what was written for it.
pub fn check_queued(side: &str, fd: &OwnedFd, written: &[u8]) -> Verdict {
    let read = drain(fd)?;
    check_eq(&format!("bytes at {side}"), read.len(), written.len())?;
    check(&format!("those at {side} are those that were written"), read == written)
}

/// Reads from a descriptor that does not wait what there is.
pub fn drain(fd: &OwnedFd) -> Verdict<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match read_once(fd, 1000) {
            Ok(piece) if piece.is_empty() => return Ok(all),
            Ok(piece) => all.extend(piece),
            Err(Errno::EAGAIN) => return Ok(all),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Waits until so many bytes can be read.
pub fn await_bytes(fd: &impl AsRawFd, bytes: i32) -> Verdict {
    until(&format!("{bytes} bytes to arrive"), || Ok(get(fd, libc::FIONREAD)? >= bytes))
}

/// Forks the leader of a session of its own with a terminal: `body` gets a descriptor of it. Returns when that is so.
pub fn session(
    gate: &mut Gate,
    master: &OwnedFd,
    body: impl FnOnce(&mut Gate, OwnedFd) -> Verdict,
) -> Verdict<(Pid, &'static AtomicU32)> {
    session_on(gate, &path(master)?, body)
}

/// A virtual console that no other case takes as long as the cell lives.
pub fn virtual_console(gate: &mut Gate) -> Verdict<String> {
    let (note, new) = (gate.path("console"), gate.path("console.new"));
    let told = note.clone();
    outsider(gate, move || {
        let lock = |path: &String| {
            let how = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
            let file = File::from(open(path.as_str(), how, Mode::empty()).ok()?);
            Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
        };
        let mut all = (20..64).map(|number| format!("/dev/tty{number}"));
        let found = all.find_map(|path| lock(&path).map(|lock| (path, lock)));
        let Some((path, _lock)) = found else { return fail("no virtual console is free") };
        std::fs::write(&new, path)?;
        std::fs::rename(&new, &told)?;
        loop {
            nix::unistd::pause();
        }
    })?;
    until("the console", || Ok(note.exists()))?;
    Ok(std::fs::read_to_string(&note)?)
}

/// Like [`session`] on a terminal by its path.
pub fn session_on(
    gate: &mut Gate,
    path: &str,
    body: impl FnOnce(&mut Gate, OwnedFd) -> Verdict,
) -> Verdict<(Pid, &'static AtomicU32)> {
    let word = shared_word()?;
    let child = gate.fork(|gate| {
        setsid()?;
        let terminal = open(path, OFlag::O_RDWR, Mode::empty())?;
        check_eq("the session of the terminal", get(&terminal, libc::TIOCGSID)?, Pid::this().as_raw())?;
        arrive(word);
        body(gate, terminal)
    })?;
    await_word(word, 1)?;
    Ok((child, word))
}
