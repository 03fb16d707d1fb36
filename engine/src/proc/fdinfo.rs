//! /proc/PID/fdinfo/FD: position, flags and mount of an open file, its locks, and what its kind tells beyond that.

use std::os::fd::RawFd;

use nix::unistd::Pid;

use super::ProcDir;
use super::error::{ParseError, Result};
use super::locks::{Lock, lock};
use super::notify::{Fanotify, InotifyWatch};
use super::text::{Line, Lines};
use super::uring::{self, IoUring};

/// One file of fdinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FdInfo {
    /// Bytes from the start; negative in files of addresses such as /proc/PID/mem.
    pub pos: i64,
    /// O_* as open(2) and fcntl(2) know them, with O_CLOEXEC of this descriptor.
    pub flags: u32,
    /// The mount, as in mountinfo; pipes, sockets and the like lie on mounts that are not listed there.
    pub mnt_id: i32,
    /// The inode; `None` before 5.14.
    pub ino: Option<u64>,
    /// Locks held on the file: flocks and OFD locks through this description, POSIX locks through this file table.
    pub locks: Vec<Lock>,
    /// What the kind of file tells.
    pub body: Body,
    /// Lines of no known meaning, each without its line feed.
    pub other: Vec<Vec<u8>>,
}

/// What a kind of file tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Body {
    /// Nothing known: ordinary files, and an epoll or inotify descriptor that watches nothing.
    #[default]
    None,
    /// eventfd(2).
    Eventfd(Eventfd),
    /// timerfd_create(2).
    Timerfd(Timerfd),
    /// signalfd(2): the signals accepted, bit n-1 for signal n.
    Signalfd(u64),
    /// epoll(7): the registrations.
    Epoll(Vec<EpollTarget>),
    /// inotify(7): the watches.
    Inotify(Vec<InotifyWatch>),
    /// fanotify(7): flags and marks.
    Fanotify(Fanotify),
    /// A tun or tap device: the name of its interface, as seen in its network namespace.
    Tun(Vec<u8>),
    /// pidfd_open(2).
    Pidfd(Pidfd),
    /// userfaultfd(2).
    Userfaultfd(Userfaultfd),
    /// io_uring_setup(2).
    IoUring(IoUring),
    /// A map of bpf(2).
    BpfMap(BpfMap),
    /// The master side of a pseudo terminal: the number of its slave.
    Ptmx(u32),
}

/// An eventfd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eventfd {
    /// The counter.
    pub count: u64,
    /// A number that tells eventfds apart; since 5.2.
    pub id: Option<i32>,
    /// EFD_SEMAPHORE; `None` before 6.5.
    pub semaphore: Option<bool>,
}

/// A timerfd. Times are seconds and nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timerfd {
    /// CLOCK_*.
    pub clock: i32,
    /// Expirations not yet read.
    pub ticks: u64,
    /// TFD_TIMER_* of the last timerfd_settime.
    pub settime_flags: u32,
    /// Time left until the next expiration, also where the timer was set to an absolute time.
    pub value: (u64, u64),
    /// The period.
    pub interval: (u64, u64),
}

/// A registration in an epoll descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpollTarget {
    /// The descriptor's number when it was registered. It may be closed since, or be another file by now.
    pub fd: RawFd,
    /// EPOLL*; a spent EPOLLONESHOT registration has no events left.
    pub events: u32,
    /// The user's word.
    pub data: u64,
    /// The target's position.
    pub pos: i64,
    /// The target's inode.
    pub ino: u64,
    /// The device of the target's file system, see [`kernel_dev`].
    pub sdev: u32,
}

/// A pidfd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pidfd {
    /// The process; -1 once it is reaped, 0 when it is outside the pid namespace of the /proc mount.
    pub pid: Pid,
    /// Its pids from that namespace inwards.
    pub ns_pids: Vec<Pid>,
}

/// A userfaultfd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Userfaultfd {
    /// Faults not yet read.
    pub pending: u64,
    /// Faults not yet resolved.
    pub total: u64,
    /// UFFD_API.
    pub api: u64,
    /// UFFD_FEATURE_* in use.
    pub features: u32,
    /// The ioctls it knows.
    pub ioctls: u64,
}

/// A BPF map, as far as bpf(2) does not tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BpfMap {
    /// BPF_MAP_TYPE_*.
    pub kind: u32,
    /// Bytes that it takes in the kernel.
    pub memlock: u64,
    /// Whether the program cannot change it any more.
    pub frozen: bool,
}

/// Major and minor number in the kernel's own encoding of a device, in which fdinfo writes `sdev`.
pub fn kernel_dev(sdev: u32) -> (u32, u32) {
    (sdev >> 20, sdev & 0xf_ffff)
}

/// Reads the fdinfo of a descriptor. A thread with a file table of its own has its own files: give its directory.
pub fn read(dir: &ProcDir, fd: RawFd, buf: &mut Vec<u8>) -> Result<FdInfo> {
    dir.read_with(&format!("fdinfo/{fd}"), buf, parse)
}

/// Parses a file of fdinfo.
pub fn parse(text: &[u8]) -> Result<FdInfo, ParseError> {
    let mut lines = Lines::new(text);
    let (mut pos, mut flags, mut mnt_id, mut ino) = (None, None, None, None);
    let (mut locks, mut body, mut other) = (Vec::new(), Body::None, Vec::new());
    for mut line in lines.by_ref() {
        let whole = line.rest();
        // Only the first line of each name is the common part: a kind may use the name again.
        if pos.is_none() && line.skip(b"pos:") {
            pos = Some(line.int("a position")?);
        } else if flags.is_none() && line.skip(b"flags:") {
            flags = Some(line.octal("flags in octal")?);
        } else if mnt_id.is_none() && line.skip(b"mnt_id:") {
            mnt_id = Some(line.int("a mount id")?);
        } else if ino.is_none() && line.skip(b"ino:") {
            ino = Some(line.dec("an inode")?);
        } else if line.skip(b"lock:") {
            locks.push(lock(&mut line)?);
        } else if !body_line(&mut body, &mut line)? {
            other.push(whole.to_vec());
            continue;
        }
        line.end()?;
    }
    Ok(FdInfo {
        pos: pos.ok_or_else(|| lines.error("a line `pos:`", b""))?,
        flags: flags.ok_or_else(|| lines.error("a line `flags:`", b""))?,
        mnt_id: mnt_id.ok_or_else(|| lines.error("a line `mnt_id:`", b""))?,
        ino,
        locks,
        body,
        other,
    })
}

/// Takes a line of a kind; false where it belongs to none that is known, or not to the one that began.
fn body_line(body: &mut Body, line: &mut Line<'_>) -> Result<bool, ParseError> {
    if let Body::IoUring(it) = body {
        return uring::line(it, line).map(|()| true);
    }
    if line.skip(b"inotify ") {
        return super::notify::inotify_line(body, line);
    }
    if line.skip(b"fanotify ") {
        return super::notify::fanotify_line(body, line);
    }
    let Some(key) = line.until(b':') else {
        return Ok(false);
    };
    if opens(body, key, line)? {
        return Ok(true);
    }
    continues(body, key, line)
}

/// A line that says what kind the file is.
fn opens(body: &mut Body, key: &[u8], line: &mut Line<'_>) -> Result<bool, ParseError> {
    if let (Body::Epoll(targets), b"tfd") = (&mut *body, key) {
        targets.push(epoll_target(line)?);
        return Ok(true);
    }
    if *body != Body::None {
        return Ok(false);
    }
    *body = match key {
        b"eventfd-count" => {
            Body::Eventfd(Eventfd { count: line.hex("a count in hexadecimal")?, id: None, semaphore: None })
        }
        b"clockid" => Body::Timerfd(Timerfd {
            clock: line.int("a clock")?,
            ticks: 0,
            settime_flags: 0,
            value: (0, 0),
            interval: (0, 0),
        }),
        b"sigmask" => Body::Signalfd(line.hex("a signal set in hexadecimal")?),
        b"tfd" => Body::Epoll(vec![epoll_target(line)?]),
        b"iff" => Body::Tun(line.take_rest().trim_ascii_start().to_vec()),
        b"Pid" => Body::Pidfd(Pidfd { pid: pid(line)?, ns_pids: Vec::new() }),
        b"pending" => Body::Userfaultfd(Userfaultfd {
            pending: line.dec("a number of faults")?,
            total: 0,
            api: 0,
            features: 0,
            ioctls: 0,
        }),
        b"SqMask" => Body::IoUring(uring::begin(line)?),
        b"map_type" => Body::BpfMap(BpfMap { kind: line.dec("a type of map")?, memlock: 0, frozen: false }),
        b"tty-index" => Body::Ptmx(line.dec("the number of a terminal")?),
        _ => return Ok(false),
    };
    Ok(true)
}

/// A further line of a kind that began.
fn continues(body: &mut Body, key: &[u8], line: &mut Line<'_>) -> Result<bool, ParseError> {
    match (body, key) {
        (Body::Eventfd(it), b"eventfd-id") => it.id = Some(line.int("a number")?),
        (Body::Eventfd(it), b"eventfd-semaphore") => it.semaphore = Some(line.dec::<u64>("0 or 1")? != 0),
        (Body::Timerfd(it), b"ticks") => it.ticks = line.dec("a number of ticks")?,
        (Body::Timerfd(it), b"settime flags") => it.settime_flags = line.octal("flags in octal")?,
        (Body::Timerfd(it), b"it_value") => it.value = time(line)?,
        (Body::Timerfd(it), b"it_interval") => it.interval = time(line)?,
        (Body::Pidfd(it), b"NSpid") => {
            while !line.is_done() {
                it.ns_pids.push(pid(line)?);
            }
        }
        (Body::BpfMap(it), b"memlock") => it.memlock = line.dec("a number of bytes")?,
        (Body::BpfMap(it), b"frozen") => it.frozen = line.dec::<u64>("0 or 1")? != 0,
        (Body::Userfaultfd(it), b"total") => it.total = line.dec("a number of faults")?,
        (Body::Userfaultfd(it), b"API") => {
            const API: &str = "`api:features:ioctls` in hexadecimal";
            it.api = line.hex(API)?;
            line.expect(b":", API)?;
            it.features = line.hex(API)?;
            line.expect(b":", API)?;
            it.ioctls = line.hex(API)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn pid(line: &mut Line<'_>) -> Result<Pid, ParseError> {
    line.int("a pid").map(Pid::from_raw)
}

/// `(seconds, nanoseconds)`
fn time(line: &mut Line<'_>) -> Result<(u64, u64), ParseError> {
    const TIME: &str = "a time `(seconds, nanoseconds)`";
    line.blanks();
    line.expect(b"(", TIME)?;
    let seconds = line.dec(TIME)?;
    line.expect(b",", TIME)?;
    let nanoseconds = line.dec(TIME)?;
    line.expect(b")", TIME)?;
    Ok((seconds, nanoseconds))
}

fn epoll_target(line: &mut Line<'_>) -> Result<EpollTarget, ParseError> {
    let fd = line.int("a descriptor")?;
    named(line, b"events:")?;
    let events = line.hex("events in hexadecimal")?;
    named(line, b"data:")?;
    let data = line.hex("data in hexadecimal")?;
    named(line, b"pos:")?;
    let pos = line.int("a position")?;
    named(line, b"ino:")?;
    let ino = line.hex("an inode in hexadecimal")?;
    named(line, b"sdev:")?;
    let sdev = line.hex("a device in hexadecimal")?;
    Ok(EpollTarget { fd, events, data, pos, ino, sdev })
}

fn named(line: &mut Line<'_>, name: &[u8]) -> Result<(), ParseError> {
    line.blanks();
    line.expect(name, "`tfd: … events: … data: … pos: … ino: … sdev: …`")
}
