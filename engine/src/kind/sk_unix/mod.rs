//! A unix socket: stream, datagram or seqpacket. Names (in the file system, also deleted, renamed and relative ones, and
//! abstract), who is connected to whom, listeners with the connections that wait, what is in the queues with descriptors
//! and credentials, what was shut down, options and the peer's credentials survive. Data sent over a connection that
//! was not accepted yet cannot be read and are refused, as are out-of-band bytes. Peers outside the tree are refused
//! unless the caller says what becomes of them.

mod diag;
mod fill;
mod found;
mod make;
mod name;
#[cfg(test)]
mod tests;

use super::eventfd::missing;
use super::sk::opts::Options;
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, notice, sk};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, SkShutdown, StasisSocketEntry, StasisUcred, UnixSkEntry};
use crate::proc::{ProcDir, status};
use crate::sys::{self, socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::FileStat;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use fill::finish;
pub use found::{Found, settle};
pub use make::{Sockets, make};

/// See the module.
pub struct SkUnix;

/// TCP_ESTABLISHED, TCP_LISTEN, as unix sockets use them.
const ESTABLISHED: u32 = 1;
const LISTEN: u32 = 10;
/// `unix_sk_entry.uflags`: no task of the tree has it; it stands for a name.
const EXTERN: u32 = 1;
/// The mode of a new socket.
const NEW_MODE: u32 = libc::S_IFSOCK | 0o777;

/// Whether sockets of a type are connected to one other that was connected to them.
fn by_connection(r#type: u32) -> bool {
    r#type != libc::SOCK_DGRAM as u32
}

impl Kind for SkUnix {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Unixsk
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        sk::family(descriptor) == Some(libc::AF_UNIX)
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let (fd, what, inode) = (descriptor.copy.as_fd(), descriptor.describe(), descriptor.stat.st_ino as u32);
        let Some(kernel) = cx.sockets.diag()?.get(inode).cloned() else {
            return Err(Error::unsupported(what, "it belongs to another network namespace"));
        };
        let Options { opts, more } = match cx.sockets.ahead.take().filter(|(of, _)| *of == descriptor.stat.st_ino) {
            Some((_, asked)) => asked,
            None => ask(fd, &what)?,
        };
        let mut more = StasisSocketEntry { id, ..owned(descriptor, more) };
        let mut usk = UnixSkEntry {
            id,
            ino: inode,
            r#type: kernel.kind.into(),
            state: kernel.state.into(),
            flags: descriptor.flags(),
            uflags: 0,
            backlog: if u32::from(kernel.state) == LISTEN { kernel.backlog } else { 0 },
            peer: kernel.peer.unwrap_or(0),
            fown: descriptor.owner()?,
            opts,
            name: kernel.name.clone(),
            shutdown: SkShutdown::try_from(i32::from(kernel.shutdown)).ok().map(|s| s as i32),
            file_perms: None,
            name_dir: None,
            deleted: None,
            ns_id: None,
            mnt_id: Some(-1),
        };
        cx.sockets.find_file(descriptor, &kernel, &mut usk, &mut more)?;
        let messages = look(descriptor, &usk, &mut more, cx.refusals.are_noted())?;
        more.messages = cx.sockets.queues.add(id, &what, messages);
        if usk.state == ESTABLISHED && cx.sockets.diag()?.listener_of(inode).is_some() {
            check_unread(descriptor)?;
            more.connector = connector(descriptor)?;
        }
        if usk.state == ESTABLISHED && usk.r#type == libc::SOCK_STREAM as u32 {
            let unread = socket::unread_by_peer(fd).doing(|| format!("ask what was sent through {what}"))?;
            more.unread = (unread > 0).then_some(unread as u32);
        }
        more.lost = (!by_connection(usk.r#type) && kernel.peer == Some(0)).then_some(true);
        cx.sockets.note(inode, kernel, what, more);
        Ok(FileEntry { r#type: FdTypes::Unixsk as i32, id, usk: Some(usk), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    /// All were made before ([`make`]): they depend on one another. [`finish`] does the rest.
    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(usk) = &entry.usk else { return Err(missing(entry, "unix socket")) };
        cx.sockets.take(usk.id)
    }

    fn attach(&self, entry: &FileEntry, fd: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        entry.usk.iter().flat_map(|usk| notice(usk.flags, fd)).collect()
    }
}

/// What a descriptor says of itself that may be a unix socket: its inode and the answer. It takes many calls, which all
/// cores can make. What fails is asked again when the socket is dumped.
pub fn ask_ahead(copy: BorrowedFd<'_>, stat: &FileStat) -> Option<(u64, Options)> {
    let is_unix = stat.st_mode & libc::S_IFMT == libc::S_IFSOCK
        && socket::get(copy, libc::SO_DOMAIN).is_ok_and(|family| family == libc::AF_UNIX);
    is_unix.then(|| ask(copy, "a socket").ok()).flatten().map(|asked| (stat.st_ino, asked))
}

/// Asks a socket for its options and its peer.
fn ask(fd: BorrowedFd<'_>, what: &str) -> Result<Options> {
    let Options { opts, more } = sk::opts::read(fd, what)?;
    let peer = peer(fd).doing(|| format!("ask who {what} is connected to"))?;
    Ok(Options { opts, more: StasisSocketEntry { peer, ..more } })
}

/// Notes whose a socket is, unless it is as a new one of root's.
fn owned(descriptor: &Descriptor, more: StasisSocketEntry) -> StasisSocketEntry {
    let stat = &descriptor.stat;
    if (stat.st_uid, stat.st_gid, stat.st_mode) == (0, 0, NEW_MODE) {
        return more;
    }
    StasisSocketEntry { uid: Some(stat.st_uid), gid: Some(stat.st_gid), mode: Some(stat.st_mode & 0o7777), ..more }
}

/// Who is at the other end, as the kernel remembers.
fn peer(fd: BorrowedFd<'_>) -> sys::Result<Option<StasisUcred>> {
    let Some(creds) = socket::peer_cred(fd)? else { return Ok(None) };
    Ok(Some(StasisUcred { groups: socket::peer_groups(fd)?, ..sk::queue::ucred(creds) }))
}

/// Reads what waits in a socket, unless it is `in_use`: reading sets where the next look of its owner begins. An error that waits is noted: only a look beyond the queue would take it.
fn look(
    descriptor: &Descriptor,
    usk: &UnixSkEntry,
    more: &mut StasisSocketEntry,
    in_use: bool,
) -> Result<Vec<sk::queue::Message>> {
    let (fd, what) = (descriptor.copy.as_fd(), descriptor.describe());
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN | PollFlags::POLLPRI)];
    poll(&mut polled, PollTimeout::ZERO).doing(|| format!("ask for the state of {what}"))?;
    let events = polled[0].revents().unwrap_or(PollFlags::empty());
    if events.contains(PollFlags::POLLPRI) {
        return Err(Error::unsupported(what, "an out-of-band byte (MSG_OOB) waits in it")
            .with_help("let the program read it before the dump"));
    }
    if usk.state == LISTEN {
        return Ok(Vec::new());
    }
    let stream = usk.r#type == libc::SOCK_STREAM as u32;
    if events.contains(PollFlags::POLLERR) {
        // Of the errors there are this is the only one that waits for somebody to ask.
        more.error = Some(libc::ECONNRESET as u32);
        let queued = sys::file::readable_bytes(fd).doing(|| format!("ask what waits in {what}"))?;
        // Every look at messages takes the error first; nor can it be made again where nobody closed a connection.
        if !by_connection(usk.r#type) || (queued > 0 && !stream) {
            return Err(Error::unsupported(what, "it has an error to report (SO_ERROR)")
                .with_help("let the program look at it before the dump"));
        }
        if !stream {
            return Ok(Vec::new());
        }
    }
    if in_use || !events.contains(PollFlags::POLLIN) {
        return Ok(Vec::new());
    }
    match usk.r#type as i32 {
        libc::SOCK_STREAM => sk::queue::stream(fd, &what),
        libc::SOCK_SEQPACKET if usk.state != ESTABLISHED => Ok(Vec::new()),
        kind => sk::queue::messages(fd, &what, kind == libc::SOCK_SEQPACKET),
    }
}

/// Refuses a client that has sent something over a connection that waits to be accepted: nobody can read that.
fn check_unread(descriptor: &Descriptor) -> Result<()> {
    let unread = socket::unread_by_peer(descriptor.copy.as_fd());
    if unread.doing(|| format!("ask what was sent through {}", descriptor.describe()))? == 0 {
        return Ok(());
    }
    let reason = "it has sent data over a connection that was not accepted yet, where they cannot be read";
    Err(Error::unsupported(descriptor.describe(), reason).with_help("let the listener accept the connection"))
}

/// A process that has a client: the kernel tells nobody who connected it before the connection is accepted.
fn connector(descriptor: &Descriptor) -> Result<Option<StasisUcred>> {
    if descriptor.queue.is_some() {
        return Ok(None);
    }
    let pid = descriptor.pid;
    let status = ProcDir::open(pid)?.read_with("status", &mut Vec::new(), status::parse)?;
    Ok(Some(StasisUcred { pid: pid.as_raw(), uid: status.uid[1], gid: status.gid[1], groups: status.groups }))
}
