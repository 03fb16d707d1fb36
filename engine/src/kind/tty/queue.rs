//! What is queued in a pseudo terminal, in both directions.
//!
//! A terminal has no way to look at its queues: reading takes, and a line that is not complete shows only where lines
//! are not waited for. So what is queued is taken and put back, and of the ways to do that only one survives a dump that
//! is killed at any instant: the process that has the master does it by itself, in one batch, which it goes through with
//! also when the engine dies. A call's result stands behind its sixth argument, so that a read of which that is its
//! buffer is the vector of the write that puts the bytes back, however many there were. While it lasts, the settings
//! are such that bytes go through unchanged; only the ends of lines remain. An end of file that was typed (Ctrl-D) reads as
//! a zero then and is put right by a second batch; a dump that is killed between the two leaves the zero.
//!
//! A terminal that is so full that it takes no more is refused: it would have to be read and filled again while the kernel
//! moves bytes from one queue to the next. Where FIONREAD says that nothing is there and no line can be under way, nothing is asked.

use super::settings;
use crate::error::{Doing, Error, Result};
use crate::image::proto::TermiosEntry;
use crate::remote::{Batch, Handle};
use crate::sys::tty::{SET_TERMIOS, Termios};
use crate::sys::{self, Pid, RemoteAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Bytes that one call takes: two of the kernel's smallest buffers, so that what is put back takes no more room than what
/// was there. With larger pieces a terminal that is nearly full does not take all of them again.
const PIECE: usize = 512;
/// Pieces that a full terminal can hold, with what waits before it.
const FULL: usize = 48;
/// A queue with so many bytes may be full.
pub(super) const NEARLY_FULL: usize = 2048;

/// How long a restore waits for room in a terminal.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a full terminal gets to refill its queue, in nanoseconds.
const MOMENT: u64 = 100_000;
/// How long it gets to make room for a piece that is put back, in nanoseconds.
const ROOM: u64 = 100_000_000;

/// The control characters that end a line, by their places.
const ENDS: [usize; 3] = [libc::VEOF, libc::VEOL, libc::VEOL2];

/// A pair that is to be asked for what is queued in it.
#[derive(Debug, Clone)]
pub struct Queues {
    /// The pair in words.
    pub what: String,
    /// Its number.
    pub number: u32,
    /// The task's descriptor of the master.
    pub master: i32,
    /// The flags of that.
    pub flags: u32,
    /// A number that no descriptor of the task has.
    pub free: i32,
    /// The settings.
    pub termios: Termios,
    /// The master is in packet mode.
    pub packets: bool,
    /// The slave's output is stopped.
    pub stopped: bool,
    /// Bytes for the slave and for the master, as far as they show.
    pub len: [usize; 2],
}

/// What was queued: for the slave and for the master.
pub type Queued = [Vec<u8>; 2];

/// What was asked, until the batch was run.
#[derive(Debug)]
pub struct Question {
    opened: Handle,
    reads: [Vec<(Handle, RemoteAddr)>; 2],
    writes: Vec<(Handle, Handle)>,
}

/// Settings under which bytes go through unchanged; where lines are waited for, only their ends mean something.
fn transparent(termios: &Termios, lines: bool, packets: bool) -> Termios {
    let keep_flow = if packets { libc::IXON } else { 0 };
    let mut plain = Termios {
        iflag: termios.iflag & keep_flow,
        oflag: 0,
        lflag: termios.lflag & libc::EXTPROC | if lines { libc::ICANON } else { 0 },
        cc: [0; sys::tty::CHARACTERS],
        ..*termios
    };
    for end in ENDS.into_iter().filter(|_| lines) {
        plain.cc[end] = termios.cc[end];
    }
    if packets {
        for flow in [libc::VSTART, libc::VSTOP] {
            plain.cc[flow] = termios.cc[flow];
        }
    }
    if !lines {
        // With more than 64, a read ends at 64 bytes.
        plain.cc[libc::VMIN] = 1;
    }
    plain
}

/// Whether lines are waited for.
pub fn has_lines(termios: &Termios) -> bool {
    termios.lflag & libc::ICANON != 0
}

impl Queues {
    /// Pieces that are asked for in each direction.
    fn pieces(&self) -> [usize; 2] {
        let pieces = |len: usize| if len >= NEARLY_FULL { FULL } else { 5 };
        [if has_lines(&self.termios) && self.len[0] > 0 { FULL } else { pieces(self.len[0]) }, pieces(self.len[1])]
    }

    /// Calls that the question takes.
    pub fn calls(&self) -> usize {
        24 + 5 * self.pieces().iter().sum::<usize>()
    }

    /// Bytes of data that it takes.
    pub fn data(&self) -> usize {
        512 + self.pieces().iter().sum::<usize>() * (PIECE + 16)
    }

    /// Adds the question to a batch of the task. With `instead`, what the slave is to read is put in place of what there
    /// was.
    pub fn ask(&self, batch: &mut Batch, instead: Option<&[u8]>) -> Question {
        batch.must_end();
        let mut asking = Asking::new(self, batch);
        let opened = asking.open();
        asking.settings(&transparent(&self.termios, false, self.packets));
        let [to_slave, to_master] = self.pieces();
        let reads = [asking.take(SLAVE, to_slave), asking.take(MASTER, to_master)];
        if has_lines(&self.termios) {
            asking.settings(&transparent(&self.termios, true, self.packets));
        }
        let mut writes = Vec::new();
        match instead {
            None => writes.extend(asking.put_back(SLAVE, &reads[SLAVE])),
            Some(bytes) => asking.put(bytes),
        }
        writes.extend(asking.put_back(MASTER, &reads[MASTER]));
        asking.close();
        Question { opened, reads, writes }
    }

    /// What was queued, as it was typed and written. What the task `pid` could not put back, because the kernel was late to
    /// make room for it, is put back here.
    pub fn answers(&self, pid: Pid, question: &Question, batch: &Batch) -> Result<Queued> {
        let unsupported = |what: String| Error::unsupported(self.what.clone(), what);
        match batch.result(question.opened) {
            Ok(number) if number == self.free as u64 => {}
            Ok(number) => return Err(unsupported(format!("its slave was opened as descriptor {number}"))),
            Err(errno) => {
                return Err(unsupported(format!("its slave cannot be opened to see what is queued: {}", errno.desc())));
            }
        }
        if question
            .reads
            .iter()
            .filter_map(|reads| reads.last())
            .any(|(read, _)| batch.result(*read).is_ok_and(|n| n > 0))
        {
            return Err(unsupported("more is queued in it than a terminal can hold".to_owned()));
        }
        let mut queued = question.reads.each_ref().map(|reads| {
            let pieces =
                reads.iter().filter_map(|(read, at)| Some(batch.bytes(*at, batch.result(*read).ok()? as usize)));
            pieces.flatten().copied().collect::<Vec<u8>>()
        });
        if has_lines(&self.termios) {
            let end = self.termios.cc[libc::VEOF];
            queued[0].iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = end);
        }
        let short =
            |(read, write): &(Handle, Handle)| batch.result(*read).is_ok_and(|len| batch.result(*write) != Ok(len));
        if question.writes.iter().any(short) {
            tracing::debug!("{}: what was queued is put back once more", self.what);
            self.refill(pid, &queued).doing(|| format!("put back what was queued in {}", self.what))?;
        }
        Ok(queued)
    }

    /// Fills the pair of a task anew, whatever is in it.
    fn refill(&self, pid: Pid, queued: &Queued) -> sys::Result<()> {
        let master = sys::pidfd::get_fd(sys::pidfd::open(pid)?.as_fd(), self.master)?;
        let slave = sys::tty::open_peer(master.as_fd(), libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK)?;
        let flags = sys::file::flags(master.as_fd())?;
        sys::file::set_flags(master.as_fd(), flags | libc::O_NONBLOCK)?;
        sys::tty::set_packet_mode(master.as_fd(), false)?;
        if self.stopped {
            sys::tty::stop_output(slave.as_fd(), true)?;
            sys::tty::stop_output(slave.as_fd(), false)?;
        }
        sys::tty::set_termios(slave.as_fd(), &transparent(&self.termios, false, self.packets))?;
        [&slave, &master].into_iter().try_for_each(|side| empty(side.as_fd()))?;
        let [to_slave, to_master] = queued.each_ref().map(Vec::as_slice);
        let entry = settings::to_entry(&self.termios);
        put(master.as_fd(), slave.as_fd(), &entry, [to_slave, to_master], self.stopped)?;
        sys::tty::set_packet_mode(master.as_fd(), self.packets)?;
        sys::file::set_flags(master.as_fd(), flags)
    }

    /// Whether an end of file is among the lines: a zero was put back for it.
    pub fn has_end(&self, queued: &Queued) -> bool {
        let end = self.termios.cc[libc::VEOF];
        has_lines(&self.termios) && end != 0 && queued[0].contains(&end)
    }
}

/// The side of a pair that reads something.
const SLAVE: usize = 0;
/// The other.
const MASTER: usize = 1;

/// A batch while the questions about a pair are added to it.
struct Asking<'a> {
    queues: &'a Queues,
    batch: &'a mut Batch,
    /// The descriptors, by the side that they are of.
    sides: [u64; 2],
    /// For poll(2), likewise: something to read.
    polled: [RemoteAddr; 2],
    /// Room to write.
    room: [RemoteAddr; 2],
    /// A time of nothing.
    none: RemoteAddr,
    /// A time of a moment.
    moment: RemoteAddr,
    /// How long room is waited for.
    patience: RemoteAddr,
}

impl<'a> Asking<'a> {
    fn new(queues: &'a Queues, batch: &'a mut Batch) -> Asking<'a> {
        let sides = [queues.free as u64, queues.master as u64];
        let mut watch = |event: i16| {
            let events = [event, 0].map(i16::to_ne_bytes).concat();
            sides.map(|fd| batch.put(&[&(fd as u32).to_ne_bytes()[..], &events].concat()))
        };
        let (polled, room) = (watch(libc::POLLIN), watch(libc::POLLOUT));
        let none = batch.room(16);
        let moment = batch.put(&[0, MOMENT].map(u64::to_ne_bytes).concat());
        let patience = batch.put(&[0, ROOM].map(u64::to_ne_bytes).concat());
        Asking { queues, batch, sides, polled, room, none, moment, patience }
    }

    fn ioctl(&mut self, side: usize, request: libc::Ioctl, argument: u64) -> Handle {
        self.batch.try_call(libc::SYS_ioctl, &[self.sides[side], request, argument])
    }

    fn settings(&mut self, termios: &Termios) {
        let at = self.batch.put(&termios.to_bytes());
        self.batch.try_call(libc::SYS_ioctl, &[self.sides[SLAVE], SET_TERMIOS, at.0]);
    }

    fn packets(&mut self, on: bool) {
        if self.queues.packets {
            let at = self.batch.put(&u32::from(on).to_ne_bytes());
            self.ioctl(MASTER, libc::TIOCPKT, at.0);
        }
    }

    fn master_flags(&mut self, flags: u32) {
        self.batch.try_call(libc::SYS_fcntl, &[self.sides[MASTER], libc::F_SETFL as u64, flags.into()]);
    }

    /// Opens the slave, and has the pair neither wait nor hold anything back.
    fn open(&mut self) -> Handle {
        self.master_flags(self.queues.flags | libc::O_NONBLOCK as u32);
        let how = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let opened = self.ioctl(MASTER, libc::TIOCGPTPEER, how as u64);
        if self.queues.stopped {
            // What was stopped by a character is started only when it was stopped by a call, too.
            self.ioctl(SLAVE, libc::TCXONC, libc::TCOOFF as u64);
            self.ioctl(SLAVE, libc::TCXONC, libc::TCOON as u64);
        }
        self.packets(false);
        opened
    }

    /// Reads what a side has to read.
    fn take(&mut self, side: usize, pieces: usize) -> Vec<(Handle, RemoteAddr)> {
        // The kernel refills a full queue by the way: a moment for that, so that each read gets much.
        let moment = self.moment;
        let fd = self.sides[side];
        let one = |_| {
            if pieces == FULL {
                self.batch.try_call(libc::SYS_nanosleep, &[moment.0, 0]);
            }
            let at = self.batch.room(PIECE);
            (self.batch.try_call(libc::SYS_read, &[fd, at.0, PIECE as u64, 0, 0, at.0]), at)
        };
        (0..pieces).map(one).collect()
    }

    /// Writes what a side read to the other again. Returns each read with its write.
    fn put_back(&mut self, side: usize, reads: &[(Handle, RemoteAddr)]) -> Vec<(Handle, Handle)> {
        let mut writes = Vec::with_capacity(reads.len());
        for (read, _) in reads {
            if reads.len() == FULL {
                let room = self.room[1 - side];
                self.batch.try_call(libc::SYS_ppoll, &[room.0, 1, self.patience.0, 0, 8]);
            }
            let vector = self.batch.transfer(*read);
            writes.push((*read, self.batch.try_call(libc::SYS_writev, &[self.sides[1 - side], vector.0, 1])));
            self.settle(side);
        }
        writes
    }

    /// Writes something for the slave to read.
    fn put(&mut self, bytes: &[u8]) {
        let at = self.batch.put(bytes);
        self.batch.try_call(libc::SYS_write, &[self.sides[MASTER], at.0, bytes.len() as u64]);
        self.settle(SLAVE);
    }

    /// A poll that finds nothing to read waits until all that was written has come through.
    fn settle(&mut self, side: usize) {
        self.batch.try_call(libc::SYS_ppoll, &[self.polled[side].0, 1, self.none.0, 0, 8]);
    }

    /// Gives everything back what it had.
    fn close(&mut self) {
        self.packets(true);
        self.settings(&self.queues.termios);
        if self.queues.stopped {
            match stop_character(&self.queues.termios) {
                Some(stop) => self.put(&[stop]),
                None => _ = self.ioctl(SLAVE, libc::TCXONC, libc::TCOOFF as u64),
            }
        }
        self.batch.try_call(libc::SYS_close, &[self.sides[SLAVE]]);
        self.master_flags(self.queues.flags);
    }
}

/// The character that stops output, if there is one.
fn stop_character(termios: &Termios) -> Option<u8> {
    let stop = termios.cc[libc::VSTOP];
    (termios.iflag & libc::IXON != 0 && stop != 0).then_some(stop)
}

/// Puts what was queued into a pair that was made, and gives it its settings.
pub fn put(
    master: BorrowedFd<'_>,
    slave: BorrowedFd<'_>,
    entry: &TermiosEntry,
    queued: [&[u8]; 2],
    stopped: bool,
) -> sys::Result<()> {
    let Ok(termios) = settings::from_entry(entry) else { return Err(sys::Errno::EINVAL) };
    let modes = [master, slave].map(sys::file::flags);
    for fd in [master, slave] {
        sys::file::set_flags(fd, sys::file::flags(fd)? | libc::O_NONBLOCK)?;
    }
    sys::tty::set_termios(master, &transparent(&termios, has_lines(&termios), false))?;
    write_all(master, slave, queued[0])?;
    write_all(slave, master, queued[1])?;
    sys::tty::set_termios(master, &termios)?;
    if stopped {
        match stop_character(&termios) {
            Some(stop) => write_all(master, slave, &[stop])?,
            None => sys::tty::stop_output(slave, true)?,
        }
    }
    for (fd, mode) in [master, slave].into_iter().zip(modes) {
        sys::file::set_flags(fd, mode?)?;
    }
    Ok(())
}

/// Reads a side of a pair, which does not wait, until nothing is left.
fn empty(side: BorrowedFd<'_>) -> sys::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match nix::unistd::read(side, &mut buffer) {
            Err(sys::Errno::EAGAIN) | Ok(0) => return Ok(()),
            Err(e) => return Err(e),
            Ok(_) => {}
        }
    }
}

/// Writes to one side of a pair and waits until it has come to the other.
fn write_all(from: BorrowedFd<'_>, to: BorrowedFd<'_>, mut bytes: &[u8]) -> sys::Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let since = Instant::now();
    while !bytes.is_empty() {
        match nix::unistd::write(from, &bytes[..bytes.len().min(PIECE)]) {
            // It moves what came before to the reader's queue.
            Ok(0) | Err(sys::Errno::EAGAIN) if since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1))
            }
            Ok(0) => return Err(sys::Errno::ENOSPC),
            written => bytes = &bytes[written?..],
        }
        poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(lines: bool) -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
        let pair = nix::pty::openpty(None, None).unwrap();
        let mut termios = sys::tty::termios(pair.slave.as_fd()).unwrap();
        if !lines {
            termios.lflag &= !(libc::ICANON);
        }
        sys::tty::set_termios(pair.slave.as_fd(), &termios).unwrap();
        (pair.master, pair.slave)
    }

    #[test]
    fn what_is_put_is_read_as_it_was_typed() {
        for (lines, typed, reads) in [
            (true, &b"one\ntwo\x04\x04par"[..], &[&b"one\n"[..], b"two", b""][..]),
            (false, b"\x03\x04\x11\x13\r\n\x00", &[b"\x03\x04\x11\x13\r\n\x00"]),
        ] {
            let (master, slave) = pair(lines);
            let entry = settings::to_entry(&sys::tty::termios(slave.as_fd()).unwrap());
            put(master.as_fd(), slave.as_fd(), &entry, [typed, b"out\nput\x00"], false).unwrap();
            assert_eq!(settings::to_entry(&sys::tty::termios(slave.as_fd()).unwrap()), entry);
            let mut buffer = [0; 100];
            for wanted in reads {
                let got = nix::unistd::read(&slave, &mut buffer).unwrap();
                assert_eq!(&buffer[..got], *wanted);
            }
            let got = nix::unistd::read(&master, &mut buffer).unwrap();
            assert_eq!(&buffer[..got], b"out\nput\x00");
        }
    }
}
