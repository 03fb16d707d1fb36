//! Options of level SOL_SOCKET: buffer sizes and timeouts, what comes along with messages, a classic filter. A filter in
//! eBPF is refused.

use crate::error::{Doing, Error, Result};
use crate::image::proto::{SkOptsEntry, StasisSocketEntry};
use crate::sys::socket::{self, option};
use crate::sys::{self, Errno};
use std::os::fd::BorrowedFd;

/// SO_RCVMARK and the like have no meaning outside of the internet; what has one everywhere is here, and the rest of
/// [`SkOptsEntry`] is a family's own.
const PASS_SEC: i32 = libc::SO_PASSSEC;
/// SO_LOCK_FILTER: the filter cannot be changed any more.
const LOCK_FILTER: i32 = 44;
/// SO_TIMESTAMPNS_NEW, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_OLD: at most one is on, but the kernel says of
/// the second that it is when the first is.
const TIMES: [i32; 4] = [64, 63, 35, 29];

/// Options as they go into the images.
#[derive(Debug)]
pub struct Options {
    /// Those that CRIU has a field for.
    pub opts: SkOptsEntry,
    /// The others.
    pub more: StasisSocketEntry,
}

/// Asks a socket for its options. `what` names it.
pub fn read(fd: BorrowedFd<'_>, what: &str) -> Result<Options> {
    let so_filter = match socket::filter(fd) {
        Err(Errno::EACCES) => {
            return Err(Error::unsupported(what, "an eBPF filter is attached to it")
                .with_help("only classic filters (SO_ATTACH_FILTER) can be read back"));
        }
        other => other.doing(|| format!("ask for the filter of {what}"))?,
    };
    let mut more = StasisSocketEntry::default();
    let opts = ask(fd, &mut more).doing(|| format!("ask for the options of {what}"))?;
    Ok(Options { opts: SkOptsEntry { so_filter, ..opts }, more })
}

fn ask(fd: BorrowedFd<'_>, more: &mut StasisSocketEntry) -> sys::Result<SkOptsEntry> {
    let get = |name| socket::get(fd, name);
    let number = |name| get(name).map(|value| value as u32);
    let on = |name| get(name).map(|value| (value != 0).then_some(true));
    // What older kernels lack is not set.
    let perhaps = |name| match get(name) {
        Err(Errno::ENOPROTOOPT | Errno::EOPNOTSUPP) => Ok(None),
        other => other.map(Some),
    };
    let (snd, rcv) = (time(fd, libc::SO_SNDTIMEO)?, time(fd, libc::SO_RCVTIMEO)?);
    more.peek_off = perhaps(option::PEEK_OFF)?.filter(|at| *at >= 0);
    more.pass_pidfd = perhaps(option::PASS_PIDFD)?.filter(|on| *on != 0).map(|_| true);
    more.pass_rights = perhaps(option::PASS_RIGHTS)?.filter(|on| *on == 0).map(|_| false);
    more.inq = perhaps(option::INQ)?.filter(|on| *on != 0).map(|_| true);
    more.lock_filter = on(LOCK_FILTER)?;
    more.times = TIMES.into_iter().find(|name| get(*name).is_ok_and(|on| on != 0)).map(|name| name as u32);
    Ok(SkOptsEntry {
        so_sndbuf: number(libc::SO_SNDBUF)?,
        so_rcvbuf: number(libc::SO_RCVBUF)?,
        so_snd_tmo_sec: snd.0,
        so_snd_tmo_usec: snd.1,
        so_rcv_tmo_sec: rcv.0,
        so_rcv_tmo_usec: rcv.1,
        reuseaddr: on(libc::SO_REUSEADDR)?,
        so_priority: Some(number(libc::SO_PRIORITY)?),
        so_rcvlowat: Some(number(libc::SO_RCVLOWAT)?),
        so_mark: Some(number(libc::SO_MARK)?),
        so_passcred: perhaps(libc::SO_PASSCRED)?.map(|value| value != 0),
        so_passsec: perhaps(PASS_SEC)?.map(|value| value != 0),
        so_dontroute: on(libc::SO_DONTROUTE)?,
        so_no_check: on(libc::SO_NO_CHECK)?,
        so_broadcast: on(libc::SO_BROADCAST)?,
        so_keepalive: on(libc::SO_KEEPALIVE)?,
        so_oobinline: on(libc::SO_OOBINLINE)?.map(u32::from),
        so_linger: linger(fd)?,
        so_buf_lock: perhaps(option::BUF_LOCK)?.map(|bits| bits as u32),
        ..SkOptsEntry::default()
    })
}

/// A timeout: seconds and microseconds.
fn time(fd: BorrowedFd<'_>, name: i32) -> sys::Result<(u64, u64)> {
    let mut bytes = [0; 16];
    socket::get_option(fd, libc::SOL_SOCKET, name, &mut bytes)?;
    let word = |at: usize| bytes[at..at + 8].try_into().map(u64::from_ne_bytes).unwrap_or(0);
    Ok((word(0), word(8)))
}

/// SO_LINGER: seconds, where it is on.
fn linger(fd: BorrowedFd<'_>) -> sys::Result<Option<u32>> {
    let mut bytes = [0; 8];
    socket::get_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, &mut bytes)?;
    let [on, seconds] = [0, 4].map(|at| bytes[at..at + 4].try_into().map(u32::from_ne_bytes).unwrap_or(0));
    Ok((on != 0).then_some(seconds))
}

/// What the options of a new socket are, so that only those that differ are set.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    sizes: (u32, u32),
}

impl Defaults {
    /// Those of a socket that was just made.
    pub fn of(fd: BorrowedFd<'_>) -> sys::Result<Defaults> {
        let number = |name| socket::get(fd, name).map(|value| value as u32);
        Ok(Defaults { sizes: (number(libc::SO_SNDBUF)?, number(libc::SO_RCVBUF)?) })
    }
}

/// Gives a new socket its options. To be called when its queues are filled and it is connected: from then on they count.
/// `filled` says that the room for sending was changed since it was made.
pub fn set(
    fd: BorrowedFd<'_>,
    opts: &SkOptsEntry,
    more: &StasisSocketEntry,
    defaults: Defaults,
    filled: bool,
) -> sys::Result<()> {
    let put = |name, value: u32| socket::set(fd, name, value as i32);
    if filled || opts.so_sndbuf != defaults.sizes.0 {
        size(fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, opts.so_sndbuf)?;
    }
    if opts.so_rcvbuf != defaults.sizes.1 {
        size(fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, opts.so_rcvbuf)?;
    }
    let resized = filled || defaults.sizes != (opts.so_sndbuf, opts.so_rcvbuf);
    if let Some(lock) = opts.so_buf_lock.filter(|lock| resized || *lock != 0) {
        put(option::BUF_LOCK, lock)?;
    }
    for (name, (seconds, micros)) in [
        (libc::SO_SNDTIMEO, (opts.so_snd_tmo_sec, opts.so_snd_tmo_usec)),
        (libc::SO_RCVTIMEO, (opts.so_rcv_tmo_sec, opts.so_rcv_tmo_usec)),
    ] {
        if (seconds, micros) != (0, 0) {
            socket::set_bytes(fd, libc::SOL_SOCKET, name, &[seconds, micros].map(u64::to_ne_bytes).concat())?;
        }
    }
    let flags = [
        (libc::SO_REUSEADDR, opts.reuseaddr()),
        (libc::SO_DONTROUTE, opts.so_dontroute()),
        (libc::SO_NO_CHECK, opts.so_no_check()),
        (libc::SO_BROADCAST, opts.so_broadcast()),
        (libc::SO_KEEPALIVE, opts.so_keepalive()),
        (libc::SO_OOBINLINE, opts.so_oobinline() != 0),
        (libc::SO_PASSCRED, opts.so_passcred()),
        (PASS_SEC, opts.so_passsec()),
        (option::PASS_PIDFD, more.pass_pidfd()),
        (option::INQ, more.inq()),
    ];
    flags.iter().filter(|(_, on)| *on).try_for_each(|(name, _)| put(*name, 1))?;
    if let Some(times) = more.times.filter(|times| TIMES.contains(&(*times as i32))) {
        put(times as i32, 1)?;
    }
    if more.pass_rights == Some(false) {
        put(option::PASS_RIGHTS, 0)?;
    }
    for (name, value, usual) in [
        (libc::SO_PRIORITY, opts.so_priority, 0),
        (libc::SO_RCVLOWAT, opts.so_rcvlowat, 1),
        (libc::SO_MARK, opts.so_mark, 0),
    ] {
        value.filter(|value| *value != usual).map_or(Ok(()), |value| put(name, value))?;
    }
    if let Some(seconds) = opts.so_linger {
        socket::set_bytes(fd, libc::SOL_SOCKET, libc::SO_LINGER, &[1, seconds].map(u32::to_ne_bytes).concat())?;
    }
    if !opts.so_filter.is_empty() {
        socket::set_filter(fd, &opts.so_filter)?;
    }
    if more.lock_filter() {
        put(LOCK_FILTER, 1)?;
    }
    more.peek_off.map_or(Ok(()), |at| socket::set(fd, option::PEEK_OFF, at))
}

/// The size of a buffer as getsockopt tells it, which is twice what setsockopt is told. Beyond the limit of
/// /proc/sys/net/core it takes CAP_NET_ADMIN.
fn size(fd: BorrowedFd<'_>, forced: i32, plain: i32, size: u32) -> sys::Result<()> {
    let half = (size / 2).min(i32::MAX as u32 / 2) as i32;
    match socket::set(fd, forced, half) {
        Err(Errno::EPERM) => socket::set(fd, plain, half),
        other => other,
    }
}

/// Makes as much room for sending as can be had, up to `bytes`.
pub fn make_room(fd: BorrowedFd<'_>, bytes: usize) -> sys::Result<()> {
    size(fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, u32::try_from(bytes).unwrap_or(u32::MAX))
}
