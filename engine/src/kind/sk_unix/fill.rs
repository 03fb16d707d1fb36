//! What is done with unix sockets when every file exists: their queues are filled, as if those who had sent were there
//! and sent again; datagram sockets are connected; peers that are gone go; then directions are shut down and options set.

use super::super::RestoreContext;
use super::super::sk::{opts, queue};
use super::make::{Made, Packet, new_socket};
use super::name::{Names, Reach};
use super::{EXTERN, LISTEN, by_connection};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{StasisSkMessage, StasisSocketEntry, UnixSkEntry};
use crate::kind::regfile::open_below;
use crate::sys::{self, Errno, socket};
use nix::fcntl::{OFlag, ResolveFlag};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Finishes what [`super::make`] has begun.
pub fn finish(cx: &mut RestoreContext<'_>) -> Result<()> {
    let files = cx.files;
    let mut entries: Vec<&UnixSkEntry> = files.values().filter_map(|file| file.usk.as_ref()).collect();
    entries.retain(|usk| usk.uflags & EXTERN == 0 && !cx.sockets.made.given.contains(&usk.id));
    if entries.is_empty() {
        return Ok(());
    }
    entries.sort_unstable_by_key(|usk| usk.id);
    let mut names = std::mem::take(&mut cx.sockets.made.names);
    let done = finish_all(&entries, cx, &mut names);
    names.clear();
    cx.sockets.made.names = names;
    cx.sockets.made.gone.clear();
    done?;
    for usk in entries {
        if let Some(fd) = cx.open.get(&usk.id).cloned() {
            cx.set_owner(fd.as_fd(), &usk.fown)?;
        }
    }
    Ok(())
}

fn finish_all(entries: &[&UnixSkEntry], cx: &mut RestoreContext<'_>, names: &mut Names) -> Result<()> {
    let queues = std::mem::take(&mut cx.sockets.queues);
    let by_ino = entries.iter().map(|usk| (usk.ino, *usk)).collect();
    let none = StasisSocketEntry::default();
    let mut gone = std::mem::take(&mut cx.sockets.made.gone);
    let mut work = Work {
        cx,
        made: &cx.sockets.made,
        gone: &gone,
        by_ino,
        names,
        senders: HashMap::new(),
        none,
        filled: HashSet::new(),
        scratch: socket::pair(libc::SOCK_STREAM).doing(|| "make a socket pair")?,
    };
    let mut rest = Vec::new();
    for usk in entries {
        let packets = queues.get(&usk.id).map(Vec::as_slice).unwrap_or_default();
        match by_connection(usk.r#type) {
            true => work.fill_connection(usk, packets)?,
            false => rest.push((*usk, packets, work.fill_before(usk, packets)?)),
        }
    }
    work.connect_datagrams(entries)?;
    for (usk, packets, done) in rest {
        work.fill_after(usk, packets, done)?;
    }
    entries.iter().try_for_each(|usk| work.leave_error(usk))?;
    let filled = std::mem::take(&mut work.filled);
    drop(work);
    gone.clear();
    settle(entries, cx, &filled)
}

struct Work<'a> {
    cx: &'a RestoreContext<'a>,
    made: &'a Made,
    gone: &'a HashMap<u32, OwnedFd>,
    by_ino: HashMap<u32, &'a UnixSkEntry>,
    names: &'a mut Names,
    /// Sockets of ours that stand for senders that are gone, by their names.
    senders: HashMap<Vec<u8>, OwnedFd>,
    none: StasisSocketEntry,
    /// Whose room for sending was changed.
    filled: HashSet<u32>,
    /// Streams of ours, to see what is counted.
    scratch: (OwnedFd, OwnedFd),
}

impl Work<'_> {
    fn fd(&self, id: u32) -> Result<BorrowedFd<'_>> {
        let found = self.cx.open.get(&id).map(|fd| fd.as_fd()).or_else(|| self.made.fds.get(&id).map(AsFd::as_fd));
        found.ok_or_else(|| Error::state(format!("the unix socket {id} of the images was not made")))
    }

    fn more(&self, usk: &UnixSkEntry) -> &StasisSocketEntry {
        self.cx.sockets.more.get(&usk.id).unwrap_or(&self.none)
    }

    fn peer(&self, usk: &UnixSkEntry) -> Option<&UnixSkEntry> {
        self.by_ino.get(&usk.peer).copied()
    }

    /// Fills the queue of a stream or seqpacket socket through its peer.
    fn fill_connection(&mut self, usk: &UnixSkEntry, packets: &[Packet]) -> Result<()> {
        if packets.is_empty() {
            return Ok(());
        }
        let peer = self.peer(usk).filter(|peer| peer.state != LISTEN).map(|peer| peer.id);
        let from = match (peer, self.gone.get(&usk.id)) {
            (Some(id), _) => self.fd(id)?,
            (None, Some(gone)) => gone.as_fd(),
            _ => return Err(Error::state(format!("the images hold data for socket {}, which has no peer", usk.id))),
        };
        let doing = || format!("fill the queue of socket {}", usk.id);
        let counted = peer.and_then(|id| self.cx.sockets.more.get(&id)?.unread).unwrap_or(0);
        let room = room(packets).max(2 * counted as usize);
        let is_large = room > socket::get(from, libc::SO_SNDBUF).doing(doing)? as usize;
        if is_large {
            opts::make_room(from, room).doing(doing)?;
        }
        let piece = match usk.r#type as i32 {
            libc::SOCK_STREAM => Some(self.piece(usk, packets).doing(doing)?),
            _ => None,
        };
        for (index, packet) in packets.iter().enumerate() {
            let more = message(self.more(usk), index);
            // What comes with descriptors or from somebody else ends a read: it stays in one piece.
            let piece = piece.map(|piece| if is_plain(packet, more) { piece } else { usize::MAX });
            self.send(from, packet, None, more, piece).doing(doing)?;
        }
        self.filled.extend(peer.filter(|_| is_large));
        Ok(())
    }

    /// In pieces of what size the plain messages of a stream are sent, so that as much memory is taken by it as was: a
    /// sender who had to wait for room waits on.
    fn piece(&self, usk: &UnixSkEntry, packets: &[Packet]) -> sys::Result<usize> {
        let wanted = self.peer(usk).and_then(|peer| self.more(peer).unread).unwrap_or(0) as usize;
        if wanted == 0 {
            return Ok(LARGEST);
        }
        let mut known = HashMap::new();
        let (mut whole, mut plain, mut piece) = (0, Vec::new(), 1);
        for (index, packet) in packets.iter().enumerate() {
            match is_plain(packet, message(self.more(usk), index)) {
                true => plain.push(packet.1.len()),
                false => whole += self.takes(packet.1.len(), LARGEST, &mut known)?,
            }
            piece = piece.max(packet.1.len().next_power_of_two().min(LARGEST));
        }
        while piece > 1 {
            let takes = |sum: sys::Result<usize>, len: &usize| Ok(sum? + self.takes(*len, piece, &mut known)?);
            if whole + plain.iter().fold(Ok(0), takes)? >= wanted {
                break;
            }
            piece /= 2;
        }
        Ok(piece)
    }

    /// What the kernel counts for `len` bytes in pieces of `piece`, of which it says what one takes when it is sent between
    /// sockets of ours.
    fn takes(&self, len: usize, piece: usize, known: &mut HashMap<usize, usize>) -> sys::Result<usize> {
        let (one, two) = &self.scratch;
        let mut ask = |len: usize| -> sys::Result<usize> {
            if let Some(takes) = known.get(&len) {
                return Ok(*takes);
            }
            let mut buffer = vec![0; len];
            if len > 0 {
                socket::send(one.as_fd(), &buffer, None, &[], None)?;
            }
            let takes = socket::unread_by_peer(one.as_fd())?;
            if len > 0 {
                socket::receive(two.as_fd(), &mut buffer, 0)?;
            }
            known.insert(len, takes);
            Ok(takes)
        };
        Ok(len / piece * ask(piece)? + ask(len % piece)?)
    }

    /// Sends one message: of a stream in pieces, with its descriptors at the first byte.
    fn send(
        &self,
        from: BorrowedFd<'_>,
        (entry, bytes): &Packet,
        to: Option<&[u8]>,
        more: Option<&StasisSkMessage>,
        piece: Option<usize>,
    ) -> sys::Result<()> {
        let file = |id| self.cx.open.get(&id).map(|fd| fd.as_raw_fd()).ok_or(Errno::EBADF);
        let mut rights = queue::rights(entry).map(file).collect::<sys::Result<Vec<_>>>()?;
        let creds = more.and_then(|more| more.creds.as_ref()).map(queue::as_ucred);
        let mut left = bytes.as_slice();
        loop {
            let part = &left[..piece.unwrap_or(left.len()).min(left.len())];
            let sent = queue::send(from, part, to, &rights, creds)?;
            left = &left[sent.min(left.len())..];
            if left.is_empty() {
                return Ok(());
            }
            if piece.is_none() {
                return Err(Errno::EMSGSIZE);
            }
            rights.clear();
        }
    }

    /// Sends a datagram socket what came before it was connected: how many messages that were. Only its peer can have
    /// sent the rest, and may send more than others may.
    fn fill_before(&mut self, usk: &UnixSkEntry, packets: &[Packet]) -> Result<usize> {
        let as_pair = self.made.pairs.contains_key(&usk.id) || self.gone.contains_key(&usk.id);
        let peer = self.peer(usk).map(|peer| peer.name.clone());
        let foreign = |index: usize| peer.as_deref() != Some(sender(message(self.more(usk), index)));
        let before = match as_pair || peer.is_none() {
            true => packets.len(),
            false => (0..packets.len()).rev().find(|index| foreign(*index)).map_or(0, |last| last + 1),
        };
        self.fill_datagrams(usk, packets, 0..before)?;
        Ok(before)
    }

    fn fill_after(&mut self, usk: &UnixSkEntry, packets: &[Packet], done: usize) -> Result<()> {
        self.fill_datagrams(usk, packets, done..packets.len())
    }

    fn fill_datagrams(&mut self, usk: &UnixSkEntry, packets: &[Packet], which: std::ops::Range<usize>) -> Result<()> {
        let doing = || format!("fill the queue of the datagram socket {}", usk.id);
        let room = room(packets);
        for index in which {
            let name = sender(message(self.more(usk), index)).to_vec();
            let from = self.sender(usk, &name)?;
            opts::make_room(from.as_fd(), room).doing(doing)?;
            let to = self.made.reach.get(&usk.id).map(Reach::address);
            let sent = self.send(from.as_fd(), &packets[index], to.as_deref(), message(self.more(usk), index), None);
            sent.doing(doing).map_err(|e| match e {
                Error::Kernel { errno: Errno::EAGAIN, .. } => {
                    e.with_help("is net.unix.max_dgram_qlen as large as it was at the dump?")
                }
                other => other,
            })?;
        }
        Ok(())
    }

    /// Who sends a datagram: the other one of a pair, the socket of the images that has the name, or one of ours.
    fn sender(&mut self, usk: &UnixSkEntry, name: &[u8]) -> Result<OwnedFd> {
        let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().doing(|| "copy a descriptor");
        let partner = self.made.pairs.get(&usk.id).copied();
        let partner =
            partner.filter(|id| self.cx.files.get(id).is_some_and(|f| f.usk.as_ref().is_some_and(|p| p.name == name)));
        if let Some(gone) = self.gone.get(&usk.id) {
            return copy(gone.as_fd());
        }
        let named = || {
            self.by_ino.values().find(|other| !name.is_empty() && other.name == name && !by_connection(other.r#type))
        };
        if let Some(id) = partner.or_else(|| named().map(|other| other.id)) {
            self.filled.insert(id);
            return copy(self.fd(id)?);
        }
        if !self.senders.contains_key(name) {
            let fd = new_socket(libc::SOCK_DGRAM as u32)?;
            if !name.is_empty() {
                match self.names.bind(self.cx.root, fd.as_fd(), name, None) {
                    Ok(_) => {}
                    Err(Error::Kernel { errno: Errno::EADDRINUSE, .. }) => {
                        let name = String::from_utf8_lossy(name);
                        tracing::warn!(
                            "the sender {name:?} of a queued message lives elsewhere: it is sent without a name"
                        );
                    }
                    Err(e) => return Err(e),
                }
            }
            self.senders.insert(name.to_vec(), fd);
        }
        copy(self.senders[name].as_fd())
    }

    /// Connects datagram sockets, none to one that could not take it any more.
    fn connect_datagrams(&mut self, entries: &[&UnixSkEntry]) -> Result<()> {
        let mut left: Vec<&UnixSkEntry> = entries.iter().copied().filter(|usk| self.is_to_connect(usk)).collect();
        while !left.is_empty() {
            let awaited: HashSet<u32> = left
                .iter()
                .filter(|usk| self.peer(usk).is_some_and(|peer| peer.peer != usk.ino))
                .map(|usk| usk.peer)
                .collect();
            let (mut now, later): (Vec<&UnixSkEntry>, Vec<_>) =
                left.iter().partition(|usk| !awaited.contains(&usk.ino));
            if now.is_empty() {
                now = later;
            }
            now.iter().try_for_each(|usk| self.connect(usk))?;
            left.retain(|usk| !now.iter().any(|done| done.id == usk.id));
        }
        Ok(())
    }

    fn is_to_connect(&self, usk: &UnixSkEntry) -> bool {
        let alone = !self.made.pairs.contains_key(&usk.id) && !self.gone.contains_key(&usk.id);
        !by_connection(usk.r#type) && alone && (usk.peer != 0 || self.more(usk).lost())
    }

    fn connect(&self, usk: &UnixSkEntry) -> Result<()> {
        let doing = || format!("connect the datagram socket {}", usk.id);
        let fd = self.fd(usk.id)?;
        if let Some(reach) = self.peer(usk).and_then(|peer| self.made.reach.get(&peer.id)) {
            return socket::connect(fd, &reach.address()).doing(doing);
        }
        let outside = self.cx.files.values().filter_map(|file| file.usk.as_ref());
        if let Some(peer) = outside.into_iter().find(|peer| peer.ino == usk.peer && peer.uflags & EXTERN != 0) {
            return self.connect_outside(fd, &peer.name);
        }
        // To one that is gone as soon as this returns.
        let lost = new_socket(usk.r#type)?;
        socket::bind(lost.as_fd(), &socket::unix_address(b"")).doing(doing)?;
        let name = nix::sys::socket::getsockname::<nix::sys::socket::UnixAddr>(lost.as_raw_fd()).doing(doing)?;
        let name = name.as_abstract().unwrap_or_default();
        socket::connect(fd, &socket::unix_address(&[b"\0", name].concat())).doing(doing)
    }

    /// Connects to a socket outside of the tree (`--ext-unix-sk`).
    fn connect_outside(&self, fd: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        let shown = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        let doing = || format!("connect a datagram socket to {shown:?}, outside of the tree");
        let reach = match name.first() {
            Some(0) => Reach::Name(name.to_vec()),
            _ => {
                let path = super::name::text(name);
                let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
                Reach::File(open_below(self.cx.root, path, flags, ResolveFlag::RESOLVE_IN_ROOT).doing(doing)?)
            }
        };
        socket::connect(fd, &reach.address())
            .doing(doing)
            .map_err(|e| e.with_help("it was connected to it at the dump, and --ext-unix-sk said to do that again"))
    }

    /// A connection whose other end was closed with data that it had not read is an error, which waits.
    fn leave_error(&self, usk: &UnixSkEntry) -> Result<()> {
        if self.more(usk).error != Some(libc::ECONNRESET as u32) {
            return Ok(());
        }
        if self.gone.contains_key(&usk.id) {
            let sent = socket::send(self.fd(usk.id)?, b"!", None, &[], None);
            sent.doing(|| format!("leave an error in socket {}", usk.id))?;
        }
        Ok(())
    }
}

/// The largest piece of a stream that is sent at once.
const LARGEST: usize = 64 << 10;

/// Whether a message is but bytes.
fn is_plain((entry, _): &Packet, more: Option<&StasisSkMessage>) -> bool {
    entry.scm.is_empty() && more.is_none_or(|more| more.creds.is_none())
}

/// What was said of a message beside its entry.
fn message(more: &StasisSocketEntry, index: usize) -> Option<&StasisSkMessage> {
    more.messages.iter().find(|message| message.index as usize == index)
}

/// The name of who sent a message; empty for none.
fn sender(message: Option<&StasisSkMessage>) -> &[u8] {
    message.and_then(|message| message.name.as_deref()).unwrap_or_default()
}

/// Room for sending messages, by what the kernel counts.
fn room(packets: &[Packet]) -> usize {
    packets.iter().map(|(_, bytes)| 2 * bytes.len() + (16 << 10)).sum()
}

/// Shuts down what was shut down and sets options, owners and flags: from now on the sockets are as they were.
fn settle(entries: &[&UnixSkEntry], cx: &RestoreContext<'_>, filled: &HashSet<u32>) -> Result<()> {
    let none = StasisSocketEntry::default();
    let mut defaults: HashMap<u32, opts::Defaults> = HashMap::new();
    for usk in entries {
        let Some(fd) = cx.open.get(&usk.id) else { continue };
        let (fd, doing) = (fd.as_fd(), || format!("give the unix socket {} back what it had", usk.id));
        let more = cx.sockets.more.get(&usk.id).unwrap_or(&none);
        let usual = match defaults.get(&usk.r#type) {
            Some(usual) => *usual,
            None => {
                let usual = opts::Defaults::of(new_socket(usk.r#type)?.as_fd()).doing(doing)?;
                *defaults.entry(usk.r#type).or_insert(usual)
            }
        };
        let shut = usk.shutdown.unwrap_or(0);
        for (bit, how) in [(1, libc::SHUT_RD), (2, libc::SHUT_WR)] {
            if shut & bit != 0 {
                socket::shut_down(fd, how).doing(doing)?;
            }
        }
        if let Some(mode) = more.mode {
            use nix::sys::stat::{Mode, fchmod};
            use nix::unistd::{Gid, Uid, fchown};
            fchown(fd, more.uid.map(Uid::from_raw), more.gid.map(Gid::from_raw)).doing(doing)?;
            fchmod(fd, Mode::from_bits_truncate(mode & 0o7777)).or_else(ignore_unsupported).doing(doing)?;
        }
        opts::set(fd, &usk.opts, more, usual, filled.contains(&usk.id)).doing(doing)?;
        sys::file::set_flags(fd, usk.flags as i32 & !libc::O_ASYNC).doing(doing)?;
    }
    Ok(())
}

/// Before Linux 6.x the mode of a socket cannot be changed, and so never was.
fn ignore_unsupported(errno: Errno) -> sys::Result<()> {
    if errno == Errno::EOPNOTSUPP { Ok(()) } else { Err(errno) }
}
