//! Making the unix sockets of a tree, all at once, with their names and connections. Connections are made as those who
//! made them. Queues, options and what was shut down come later ([`super::finish`]), when the files under way exist.

use super::super::RestoreContext;
use super::super::maker::{Actors, act};
use super::super::sk::queue;
use super::name::{Names, Place, Reach, text};
use super::{ESTABLISHED, EXTERN, LISTEN, by_connection};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{SkPacketEntry, StasisSocketEntry, StasisUcred, UnixSkEntry};
use crate::image::{ImageDir, kinds};
use crate::options::InheritKey;
use crate::sys::acting::{Actor, NEW, Operation, Pair};
use crate::sys::socket;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A queued message with its bytes.
pub(super) type Packet = (SkPacketEntry, Vec<u8>);

/// The unix sockets of a tree that is restored.
#[derive(Debug, Default)]
pub struct Sockets {
    /// What CRIU's entries do not say, by id.
    pub(super) more: HashMap<u32, StasisSocketEntry>,
    /// What belongs in queues, by the id of the socket.
    pub(super) queues: HashMap<u32, Vec<Packet>>,
    pub(super) made: Made,
}

/// What was made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Sockets by id, until they are taken.
    pub fds: HashMap<u32, OwnedFd>,
    /// Those that the caller gave, which are left as they are.
    pub given: HashSet<u32>,
    /// The other ends of sockets whose peers are gone.
    pub gone: HashMap<u32, OwnedFd>,
    /// Datagram sockets that were made as a pair: the id of the other.
    pub pairs: HashMap<u32, u32>,
    /// Where bound sockets are connected to.
    pub reach: HashMap<u32, Reach>,
    /// Their names.
    pub names: Names,
}

impl Sockets {
    /// Reads what is beside the entries.
    pub(in super::super) fn load(images: &ImageDir) -> Result<Sockets> {
        let more = images.read_all(kinds::STASIS_SOCKET.single())?.into_iter().map(|more| (more.id, more)).collect();
        let mut queues: HashMap<u32, Vec<Packet>> = HashMap::new();
        for packet in images.read_all_with(kinds::SK_QUEUES.single(), |entry| u64::from(entry.length))? {
            queues.entry(packet.0.id_for).or_default().push(packet);
        }
        Ok(Sockets { more, queues, made: Made::default() })
    }

    /// The files that are under way in queues.
    pub fn under_way(&self) -> impl Iterator<Item = u32> + '_ {
        self.queues.values().flatten().flat_map(|(entry, _)| queue::rights(entry))
    }

    /// A socket that was made, for the first who asks.
    pub(super) fn take(&mut self, id: u32) -> Result<OwnedFd> {
        let lost = || Error::state(format!("the unix socket {id} of the images is none that a task can have"));
        self.made.fds.remove(&id).ok_or_else(lost)
    }

    /// Closes what was made and nobody took.
    pub(in super::super) fn close(&mut self) {
        self.made.fds.clear();
        self.made.gone.clear();
        self.made.reach.clear();
    }

    /// Lets the names stand.
    pub(in super::super) fn commit(&mut self) {
        self.made.names.keep();
    }
}

/// Who made a connection, as the images say.
fn whom(creds: Option<&StasisUcred>) -> Option<Actor> {
    creds.map(|creds| Actor { pid: creds.pid, uid: creds.uid, gid: creds.gid, groups: creds.groups.clone() })
}

/// Makes every unix socket of the images. `actors` are the processes of the tree.
pub fn make(cx: &mut RestoreContext<'_>, actors: &dyn Actors) -> Result<()> {
    let files = cx.files;
    let mut entries: Vec<&UnixSkEntry> = files.values().filter_map(|file| file.usk.as_ref()).collect();
    entries.retain(|usk| usk.uflags & EXTERN == 0);
    entries.sort_unstable_by_key(|usk| usk.id);
    if entries.is_empty() {
        return Ok(());
    }
    let more = std::mem::take(&mut cx.sockets.more);
    let by_ino = entries.iter().map(|usk| (usk.ino, *usk)).collect();
    let root = cx.root;
    let mut maker = Maker { more: &more, by_ino, root, actors, made: Made::default() };
    for usk in &entries {
        if let Some(fd) = cx.inherited(|key| *key == InheritKey::Socket { inode: usk.ino.into() })? {
            maker.made.fds.insert(usk.id, fd);
            maker.made.given.insert(usk.id);
        }
    }
    let result = maker.all(&entries);
    let made = maker.made;
    cx.sockets.made = made;
    cx.sockets.more = more;
    result
}

/// What connections have in common that one listener can have accepted: type, name, and who listened.
type Listener<'a> = (u32, &'a [u8], Option<Actor>);

struct Maker<'a> {
    more: &'a HashMap<u32, StasisSocketEntry>,
    by_ino: HashMap<u32, &'a UnixSkEntry>,
    root: BorrowedFd<'a>,
    actors: &'a dyn Actors,
    made: Made,
}

/// Ends of connections of a name: the one that was accepted, and the client where it is in the images.
type Accepted<'a> = Vec<(&'a UnixSkEntry, Option<&'a UnixSkEntry>)>;

impl<'a> Maker<'a> {
    fn all(&mut self, entries: &[&'a UnixSkEntry]) -> Result<()> {
        let mut pairs: BTreeMap<Option<Actor>, Accepted<'a>> = BTreeMap::new();
        let mut accepted: BTreeMap<Listener<'_>, Accepted<'a>> = BTreeMap::new();
        let mut planned = HashSet::new();
        for usk in entries {
            check(usk)?;
            if self.made.fds.contains_key(&usk.id) || planned.contains(&usk.id) || !self.is_end(usk) {
                continue;
            }
            let other = self.partner(usk).filter(|other| !planned.contains(&other.id) && other.id != usk.id);
            let other = other.filter(|other| !self.made.given.contains(&other.id));
            planned.extend([Some(usk.id), other.map(|other| other.id)].into_iter().flatten());
            if !by_connection(usk.r#type) || (usk.name.is_empty() && other.is_none_or(|other| other.name.is_empty())) {
                pairs.entry(self.peer_of(usk)).or_default().push((usk, other));
                continue;
            }
            let (server, client) = self.roles(usk, other);
            // Who listened is who the client sees.
            let listener = client.and_then(|client| self.peer_of(client));
            accepted.entry((server.r#type, &server.name, listener)).or_default().push((server, client));
        }
        for group in pairs.into_values() {
            self.pair(&group)?;
        }
        for group in accepted.into_values() {
            self.accept(&group)?;
        }
        self.rest(entries)?;
        entries.iter().filter(|usk| usk.state == LISTEN).try_for_each(|usk| self.wait(usk, entries))?;
        entries.iter().try_for_each(|usk| self.repair(usk))
    }

    /// Whether a socket was made with another one.
    fn is_end(&self, usk: &UnixSkEntry) -> bool {
        match by_connection(usk.r#type) {
            true => usk.state == ESTABLISHED && !self.waits(usk),
            false => self.peer_of(usk).is_some(),
        }
    }

    /// Whether the connection of a client is not accepted yet.
    fn waits(&self, usk: &UnixSkEntry) -> bool {
        self.by_ino.get(&usk.peer).is_some_and(|peer| peer.state == LISTEN && by_connection(peer.r#type))
    }

    fn partner(&self, usk: &UnixSkEntry) -> Option<&'a UnixSkEntry> {
        let other = *self.by_ino.get(&usk.peer)?;
        let fits = match by_connection(usk.r#type) {
            true => other.peer == usk.ino && other.state == ESTABLISHED,
            false => self.peer_of(other).is_some() && (other.peer == usk.ino || other.peer == 0),
        };
        (fits && other.r#type == usk.r#type).then_some(other)
    }

    /// Which end was accepted: the one that has the name of a listener, else the one that is younger.
    fn roles(
        &self,
        one: &'a UnixSkEntry,
        other: Option<&'a UnixSkEntry>,
    ) -> (&'a UnixSkEntry, Option<&'a UnixSkEntry>) {
        let Some(other) = other else { return (one, None) };
        let listens = |end: &UnixSkEntry| {
            !end.name.is_empty() && self.by_ino.values().any(|usk| usk.state == LISTEN && usk.name == end.name)
        };
        let rank = |end: &UnixSkEntry| (!end.name.is_empty(), listens(end), end.ino);
        if rank(one) >= rank(other) { (one, Some(other)) } else { (other, Some(one)) }
    }

    /// SO_PEERCRED.
    fn peer_of(&self, usk: &UnixSkEntry) -> Option<Actor> {
        whom(self.more.get(&usk.id).and_then(|more| more.peer.as_ref()))
    }

    /// Makes socket pairs of one maker.
    fn pair(&mut self, group: &[(&'a UnixSkEntry, Option<&'a UnixSkEntry>)]) -> Result<()> {
        let Some((first, _)) = group.first() else { return Ok(()) };
        let operations: Vec<_> = group.iter().map(|(usk, _)| Operation::Pair(usk.r#type as i32)).collect();
        let made = act(self.actors, self.peer_of(first).as_ref(), &operations)?;
        for ((usk, other), pair) in group.iter().zip(made) {
            let Some((one, two)) = pair else { return Err(Error::state("a socket pair was not made")) };
            self.made.fds.insert(usk.id, one);
            match other {
                Some(other) => {
                    self.made.fds.insert(other.id, two);
                    self.made.pairs.extend([(usk.id, other.id), (other.id, usk.id)]);
                }
                None => drop(self.made.gone.insert(usk.id, two)),
            }
        }
        Ok(())
    }

    /// Makes connections that were accepted by a listener of one name, which is made for the moment.
    fn accept(&mut self, group: &[(&'a UnixSkEntry, Option<&'a UnixSkEntry>)]) -> Result<()> {
        /// As many as may wait on kernels with the lowest limit there ever was.
        const AT_ONCE: usize = 100;
        let Some((server, client)) = group.first() else { return Ok(()) };
        let listener = new_socket(server.r#type)?;
        let reach = self.made.names.bind(self.root, listener.as_fd(), &server.name, None)?;
        let who = client.and_then(|client| self.peer_of(client));
        act(self.actors, who.as_ref(), &[Operation::Listen(listener.as_fd(), AT_ONCE as i32)])?;
        for part in group.chunks(AT_ONCE) {
            let mut ends = Vec::new();
            for (server, client) in part {
                let end = new_socket(server.r#type)?;
                if let Some(client) = client {
                    self.bind(client, end.as_fd())?;
                }
                ends.push((self.peer_of(server), end));
            }
            self.connect(&ends, &reach.address())?;
            for ((server, client), (_, end)) in part.iter().zip(ends) {
                self.made.fds.insert(server.id, socket::accept(listener.as_fd()).doing(|| "accept a connection")?);
                match client {
                    Some(client) => self.made.fds.insert(client.id, end),
                    None => self.made.gone.insert(server.id, end),
                };
            }
        }
        Ok(())
    }

    /// Connects sockets in their order, each as somebody.
    fn connect(&self, ends: &[(Option<Actor>, OwnedFd)], to: &[u8]) -> Result<()> {
        for run in ends.chunk_by(|one, two| one.0 == two.0) {
            let operations: Vec<_> = run.iter().map(|(_, end)| Operation::Connect(end.as_fd(), to.to_vec())).collect();
            let _: Vec<Pair> = act(self.actors, run[0].0.as_ref(), &operations)?;
        }
        Ok(())
    }

    /// Makes the sockets that are not made yet, binds those that have names, and has listeners listen.
    fn rest(&mut self, entries: &[&'a UnixSkEntry]) -> Result<()> {
        for usk in entries {
            let is_new = !self.made.fds.contains_key(&usk.id);
            if is_new && !(by_connection(usk.r#type) && self.waits(usk)) {
                self.made.fds.insert(usk.id, new_socket(usk.r#type)?);
            }
            let pair = self.made.pairs.contains_key(&usk.id) || self.made.gone.contains_key(&usk.id);
            if let Some(fd) = self.made.fds.get(&usk.id).filter(|_| is_new || (pair && !by_connection(usk.r#type))) {
                let fd = fd.try_clone().doing(|| "copy a descriptor")?;
                self.bind(usk, fd.as_fd())?;
            }
            if usk.state == LISTEN && is_new {
                let backlog = i32::try_from(usk.backlog).unwrap_or(i32::MAX);
                let Some(fd) = self.made.fds.get(&usk.id) else { continue };
                act(self.actors, self.peer_of(usk).as_ref(), &[Operation::Listen(fd.as_fd(), backlog)])?;
            }
        }
        Ok(())
    }

    /// Gives a socket the name that it has.
    fn bind(&mut self, usk: &UnixSkEntry, fd: BorrowedFd<'_>) -> Result<()> {
        if usk.name.is_empty() {
            return Ok(());
        }
        let place = || Place { path: path_of(usk, self.more.get(&usk.id)), perms: usk.file_perms.as_ref() };
        let place = (usk.name[0] != 0 && !usk.deleted()).then(place);
        let reach = self.made.names.bind(self.root, fd, &usk.name, place)?;
        self.made.reach.insert(usk.id, reach);
        Ok(())
    }

    /// Connects the clients that wait in a listener, in their order.
    fn wait(&mut self, listener: &UnixSkEntry, entries: &[&'a UnixSkEntry]) -> Result<()> {
        let order = self.more.get(&listener.id).map(|more| more.waiting.as_slice()).unwrap_or_default();
        let mut clients = entries.to_vec();
        clients.retain(|usk| usk.peer == listener.ino && by_connection(usk.r#type) && usk.state == ESTABLISHED);
        // Images of CRIU do not tell the order.
        clients.sort_by_key(|usk| order.iter().position(|id| *id == usk.id).unwrap_or(usize::MAX));
        let Some(to) = self.made.reach.get(&listener.id).map(Reach::address) else { return Ok(()) };
        let mut ends = Vec::new();
        for client in &clients {
            let end = new_socket(client.r#type)?;
            self.bind(client, end.as_fd())?;
            ends.push((whom(self.more.get(&client.id).and_then(|more| more.connector.as_ref())), end));
        }
        self.connect(&ends, &to)?;
        self.made.fds.extend(clients.iter().map(|usk| usk.id).zip(ends.into_iter().map(|(_, end)| end)));
        Ok(())
    }

    /// Connects one of a pair of datagram sockets to what it was connected to since, or to nothing. That empties its
    /// queue, as it did then, and is an error for the other one, which has seen it.
    fn repair(&self, usk: &UnixSkEntry) -> Result<()> {
        if by_connection(usk.r#type) || self.made.given.contains(&usk.id) {
            return Ok(());
        }
        let lost = self.more.get(&usk.id).is_some_and(|more| more.lost());
        let (other, stays) = match (self.made.pairs.get(&usk.id), self.made.gone.get(&usk.id)) {
            (Some(id), _) => {
                let stays = self.by_ino.get(&usk.peer).is_some_and(|peer| peer.id == *id);
                (self.made.fds.get(id), stays)
            }
            (None, Some(gone)) => (Some(gone), lost || self.peer_is_outside(usk)),
            _ => return Ok(()),
        };
        let Some(fd) = self.made.fds.get(&usk.id).filter(|_| !stays) else { return Ok(()) };
        let target = self.by_ino.get(&usk.peer).and_then(|peer| self.made.reach.get(&peer.id));
        let to = target.map_or_else(socket::no_address, Reach::address);
        socket::connect(fd.as_fd(), &to).doing(|| format!("connect the datagram socket {} again", usk.id))?;
        other
            .map_or(Ok(0), |other| socket::get(other.as_fd(), libc::SO_ERROR))
            .doing(|| "take the error of a socket")?;
        Ok(())
    }

    fn peer_is_outside(&self, usk: &UnixSkEntry) -> bool {
        usk.peer != 0 && !self.by_ino.contains_key(&usk.peer)
    }
}

/// Only three types are known, and what their states are.
fn check(usk: &UnixSkEntry) -> Result<()> {
    let known = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET].contains(&(usk.r#type as i32));
    if !known || usk.name.len() > 108 || (usk.state == LISTEN && usk.name.is_empty()) {
        return Err(Error::state(format!("the images hold an impossible unix socket {}", usk.id)));
    }
    Ok(())
}

/// Where the file of a socket is.
fn path_of(usk: &UnixSkEntry, more: Option<&StasisSocketEntry>) -> Vec<u8> {
    if let Some(path) = more.and_then(|more| more.path.as_ref()) {
        return path.clone();
    }
    let name = text(&usk.name);
    match &usk.name_dir {
        Some(dir) if !name.starts_with(b"/") => [dir.as_slice(), b"/", name].concat(),
        _ => name.to_vec(),
    }
}

/// A socket of the engine's.
pub(super) fn new_socket(r#type: u32) -> Result<OwnedFd> {
    socket::unix(r#type as i32 | NEW).doing(|| "make a unix socket")
}
