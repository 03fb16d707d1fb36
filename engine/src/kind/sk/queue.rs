//! What waits in a socket's queue, read without taking it out: messages with their bytes, senders, credentials and
//! descriptors. In a stream, bytes that come with descriptors are told from those before them. An empty datagram that
//! was looked at before (MSG_PEEK with SO_PEEK_OFF) cannot be seen again and is lost.

use crate::error::{Doing, Error, Result};
use crate::guardian;
use crate::image::proto::{SkPacketEntry, StasisSkMessage, StasisUcred};
use crate::proc::fdinfo::Body;
use crate::proc::{ProcDir, fdinfo};
use crate::sys::socket::{self, Received, Ucred, option};
use crate::sys::{self, Errno, Pid};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Most messages are not longer.
const USUAL: usize = 256 << 10;

/// A message, or a stretch of a stream whose bytes have the same sender.
#[derive(Debug)]
pub struct Message {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The sender's sun_path.
    pub name: Vec<u8>,
    /// Who sent it, where the socket asks for that.
    pub creds: Option<Ucred>,
    /// Copies of the descriptors that come with its first byte.
    pub rights: Vec<OwnedFd>,
}

/// A socket that is read.
struct Queue<'a> {
    fd: BorrowedFd<'a>,
    what: &'a str,
    /// Gives the socket the offset that it had; made before it is first changed.
    lent: Option<guardian::Lent<'a>>,
}

/// The messages of a datagram or seqpacket socket.
pub fn messages(fd: BorrowedFd<'_>, what: &str, seqpacket: bool) -> Result<Vec<Message>> {
    let doing = || format!("look at what waits in {what}");
    let mut queue = Queue { fd, what, lent: None };
    // Of these alone the kernel tells how much there is in all; beyond the end is what a shutdown looks like.
    let total = match seqpacket {
        true => Some(sys::file::readable_bytes(fd).doing(doing)?),
        false => None,
    };
    let (mut found, mut at) = (Vec::new(), 0usize);
    let mut buffer = vec![0; USUAL];
    queue.seek(0)?;
    while total.is_none_or(|total| at < total) {
        let got = match socket::receive(fd, &mut buffer, libc::MSG_PEEK | libc::MSG_TRUNC) {
            Err(Errno::EAGAIN) => break,
            other => other.doing(doing)?,
        };
        if got.len > buffer.len() {
            buffer.resize(got.len, 0);
            queue.seek(at)?;
            continue;
        }
        at += got.len;
        found.push(queue.message(got, &buffer)?);
    }
    Ok(found)
}

/// What waits in a stream socket.
pub fn stream(fd: BorrowedFd<'_>, what: &str) -> Result<Vec<Message>> {
    let doing = || format!("look at what waits in {what}");
    let total = sys::file::readable_bytes(fd).doing(doing)?;
    let mut queue = Queue { fd, what, lent: None };
    let mut buffer = vec![0; total];
    let (mut found, mut at) = (Vec::new(), 0);
    if socket::get(fd, option::PEEK_OFF).is_ok_and(|offset| offset >= 0) {
        queue.seek(0)?;
    }
    while at < total {
        if at > 0 {
            queue.seek(at)?;
        }
        // Never beyond the end: what is asked for there is told an error that waits, once.
        let got = socket::receive(fd, &mut buffer[..total - at], libc::MSG_PEEK).doing(doing)?;
        if got.len == 0 {
            return Err(Error::state(format!("only {at} of {total} bytes in {what} can be read")));
        }
        let len = got.len;
        let plain = if got.rights.is_empty() { 0 } else { queue.before_rights(at, len)? };
        let mut message = queue.message(got, &buffer)?;
        if plain > 0 {
            let rest = message.bytes.split_off(plain);
            let first = std::mem::replace(&mut message.bytes, rest);
            found.push(Message { bytes: first, name: Vec::new(), creds: message.creds, rights: Vec::new() });
        }
        found.push(message);
        at += len;
    }
    Ok(found)
}

impl Queue<'_> {
    /// Lets the next look begin at an offset.
    fn seek(&mut self, at: usize) -> Result<()> {
        let doing = || format!("choose where to look into {}", self.what);
        if self.lent.is_none() {
            self.lent = Some(guardian::lend(self.fd).doing(doing)?);
        }
        let at = i32::try_from(at).map_err(|_| Errno::EFBIG).doing(doing)?;
        socket::set(self.fd, option::PEEK_OFF, at).doing(doing)
    }

    /// How many of `len` bytes from `at` come before those that descriptors come with. Looking tells of the descriptors
    /// of the next buffer also when none of its bytes is asked for, so they say nothing of where they are; but what is
    /// read ends with their buffer.
    fn before_rights(&mut self, at: usize, len: usize) -> Result<usize> {
        self.seek(at)?;
        socket::before_last_buffer(self.fd, len).doing(|| format!("look at what waits in {}", self.what))
    }

    fn message(&self, got: Received, buffer: &[u8]) -> Result<Message> {
        if got.flags & libc::MSG_CTRUNC != 0 {
            let what = format!("not all descriptors that wait in {} could be had", self.what);
            return Err(Error::state(what).with_help("is the limit of open files (ulimit -n) large enough?"));
        }
        let creds = match (got.creds, got.pidfd) {
            (Some(creds), _) => Some(creds).filter(|creds| creds.pid != 0),
            (None, Some(pidfd)) => of_pidfd(&pidfd)?,
            (None, None) => None,
        };
        Ok(Message { bytes: buffer[..got.len].to_vec(), name: got.name, creds, rights: got.rights })
    }
}

/// The process of a pidfd; its user and group are not told where only a pidfd is asked for.
fn of_pidfd(pidfd: &OwnedFd) -> Result<Option<Ucred>> {
    let info = fdinfo::read(&ProcDir::current()?, pidfd.as_raw_fd(), &mut Vec::new())?;
    Ok(match info.body {
        Body::Pidfd(state) if state.pid.as_raw() > 0 => Some(Ucred { pid: state.pid.as_raw(), uid: 0, gid: 0 }),
        _ => None,
    })
}

/// Messages of all sockets, as they go into the images.
#[derive(Debug, Default)]
pub struct Queues {
    /// The entries with their bytes.
    pub entries: Vec<(SkPacketEntry, Vec<u8>)>,
    /// Descriptors whose files are still to be found: the index of the entry, which of its descriptors, the copy, and
    /// the queue in words.
    waiting: Vec<(usize, usize, OwnedFd, String)>,
}

/// SCM_RIGHTS.
const RIGHTS: u32 = libc::SCM_RIGHTS as u32;

impl Queues {
    /// Adds what waits in the socket `id`, which is called `what`. Returns what CRIU's entries do not say of it.
    pub fn add(&mut self, id: u32, what: &str, messages: Vec<Message>) -> Vec<StasisSkMessage> {
        let mut more = Vec::new();
        for (index, message) in messages.into_iter().enumerate() {
            let mut entry = SkPacketEntry { id_for: id, length: message.bytes.len() as u32, scm: Vec::new() };
            if !message.rights.is_empty() {
                let rights = vec![0; message.rights.len()];
                entry.scm.push(crate::image::proto::ScmEntry { r#type: RIGHTS, rights });
            }
            for (n, fd) in message.rights.into_iter().enumerate() {
                self.waiting.push((self.entries.len(), n, fd, what.to_owned()));
            }
            self.entries.push((entry, message.bytes));
            if !message.name.is_empty() || message.creds.is_some() {
                more.push(StasisSkMessage {
                    index: index as u32,
                    name: (!message.name.is_empty()).then_some(message.name),
                    creds: message.creds.map(ucred),
                });
            }
        }
        more
    }

    /// The next descriptor whose file is to be found: its place, and the copy with the queue in words.
    pub fn unresolved(&mut self) -> Option<((usize, usize), OwnedFd, String)> {
        self.waiting.pop().map(|(entry, n, fd, what)| ((entry, n), fd, what))
    }

    /// Notes the file of a descriptor.
    pub fn found(&mut self, (entry, n): (usize, usize), id: u32) {
        let scm = self.entries.get_mut(entry).and_then(|(entry, _)| entry.scm.first_mut());
        if let Some(place) = scm.and_then(|scm| scm.rights.get_mut(n)) {
            *place = id;
        }
    }
}

/// The files that come with a message.
pub fn rights(entry: &SkPacketEntry) -> impl Iterator<Item = u32> + '_ {
    entry.scm.iter().filter(|scm| scm.r#type == RIGHTS).flat_map(|scm| scm.rights.iter().copied())
}

/// As it stands in the images.
pub fn ucred(creds: Ucred) -> StasisUcred {
    StasisUcred { pid: creds.pid, uid: creds.uid, gid: creds.gid, groups: Vec::new() }
}

/// As the kernel takes it.
pub fn as_ucred(creds: &StasisUcred) -> Ucred {
    Ucred { pid: creds.pid, uid: creds.uid, gid: creds.gid }
}

/// Sends a message with credentials, whose process must exist for that: one that is gone has a stand-in meanwhile.
pub fn send(
    from: BorrowedFd<'_>,
    bytes: &[u8],
    to: Option<&[u8]>,
    rights: &[i32],
    creds: Option<Ucred>,
) -> sys::Result<usize> {
    match socket::send(from.as_fd(), bytes, to, rights, creds) {
        Err(Errno::ESRCH) if creds.is_some() => {}
        other => return other,
    }
    let _there = match creds {
        Some(creds) => Some(sys::clone::Standin::new(Some(Pid::from_raw(creds.pid)))?),
        None => None,
    };
    socket::send(from, bytes, to, rights, creds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn look(message: &Message) -> (&[u8], usize) {
        (&message.bytes, message.rights.len())
    }

    #[test]
    fn a_stream_is_divided_where_descriptors_come_and_nothing_is_taken() {
        let (one, two) = socket::pair(libc::SOCK_STREAM).unwrap();
        let send = |bytes: &[u8], rights: &[i32]| {
            assert_eq!(socket::send(one.as_fd(), bytes, None, rights, None), Ok(bytes.len()));
        };
        let own = [one.as_raw_fd(), two.as_raw_fd()];
        send(b"a", &own[..1]);
        send(b"plain", &[]);
        send(b" text", &[]);
        send(b"with", &own);
        send(b"one", &own[1..]);
        send(b"end", &[]);
        for _ in 0..2 {
            let found = stream(two.as_fd(), "a socket").unwrap();
            let wanted: [(&[u8], usize); 5] = [(b"a", 1), (b"plain text", 0), (b"with", 2), (b"one", 1), (b"end", 0)];
            assert_eq!(found.iter().map(look).collect::<Vec<_>>(), wanted);
            assert_eq!(socket::get(two.as_fd(), option::PEEK_OFF), Ok(-1));
        }
        let got = socket::receive(two.as_fd(), &mut [0; 100], 0).unwrap();
        assert_eq!((got.len, got.rights.len()), (1, 1));
    }

    #[test]
    fn messages_keep_their_bounds_and_an_offset_that_was_set_stays() {
        for kind in [libc::SOCK_DGRAM, libc::SOCK_SEQPACKET] {
            let (one, two) = socket::pair(kind).unwrap();
            let large = vec![1; USUAL + 1];
            socket::set(one.as_fd(), libc::SO_SNDBUFFORCE, 4 << 20).unwrap();
            for bytes in [&b"first"[..], b"", &large, b"last"] {
                assert_eq!(socket::send(one.as_fd(), bytes, None, &[], None), Ok(bytes.len()));
            }
            socket::set(two.as_fd(), option::PEEK_OFF, 3).unwrap();
            let found = messages(two.as_fd(), "a socket", kind == libc::SOCK_SEQPACKET).unwrap();
            let lengths: Vec<_> = found.iter().map(|message| message.bytes.len()).collect();
            assert_eq!(lengths, [5, 0, USUAL + 1, 4]);
            assert_eq!(socket::get(two.as_fd(), option::PEEK_OFF), Ok(3));
        }
    }

    #[test]
    fn a_socket_that_was_lent_gets_its_offset_back_from_whoever_is_left() {
        let (_one, two) = socket::pair(libc::SOCK_STREAM).unwrap();
        let log = sys::undo::Log::new(1).unwrap();
        log.lend(two.as_fd(), -1).unwrap();
        socket::set(two.as_fd(), option::PEEK_OFF, 7).unwrap();
        log.undo_all();
        assert_eq!(socket::get(two.as_fd(), option::PEEK_OFF), Ok(-1));
    }
}
