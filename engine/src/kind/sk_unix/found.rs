//! The unix sockets of a tree that is dumped: what the kernel says of them, where their files are, and, when all are
//! known, whether they belong together.

use super::super::ghost::DELETED;
use super::super::sk::opts::Options;
use super::super::sk::queue::Queues;
use super::super::{Descriptor, DumpContext, no_owner};
use super::diag::{self, Diag, Socket};
use super::{ESTABLISHED, EXTERN, LISTEN, by_connection};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, FilePermsEntry, SkOptsEntry, StasisSocketEntry, UnixSkEntry};
use crate::image::{NewImageDir, kinds};
use crate::options::External;
use crate::sys::socket::{SocketFd, socket_fd};
use nix::sys::stat::{fstat, stat};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;

/// What was found so far.
#[derive(Debug, Default)]
pub struct Found {
    /// What the next socket has said of itself, by its inode ([`super::ask_ahead`]).
    pub ahead: Option<(u64, Options)>,
    /// What waits in the sockets.
    pub queues: Queues,
    /// Asked when the first socket comes.
    diag: Option<Diag>,
    /// The files that sockets are bound to, by inode and device.
    files: HashMap<(u32, u32), File>,
    /// Each socket by its inode.
    known: HashMap<u32, Known>,
    /// What CRIU's entries do not say.
    more: Vec<StasisSocketEntry>,
}

/// A socket that is in the images.
#[derive(Debug)]
struct Known {
    kernel: Socket,
    /// It in words.
    what: String,
    /// Its place among [`Found::more`].
    more: usize,
}

/// A file that a socket is bound to.
#[derive(Debug, Clone)]
struct File {
    path: Vec<u8>,
    deleted: bool,
    /// Whether the path leads to it.
    reachable: bool,
    perms: FilePermsEntry,
}

impl Found {
    /// What the kernel says of all sockets.
    pub(super) fn diag(&mut self) -> Result<&Diag> {
        let diag = match self.diag.take() {
            Some(diag) => diag,
            None => Diag::read()?,
        };
        Ok(self.diag.insert(diag))
    }

    /// Takes note of a socket.
    pub(super) fn note(&mut self, inode: u32, kernel: Socket, what: String, more: StasisSocketEntry) {
        self.known.insert(inode, Known { kernel, what, more: self.more.len() });
        self.more.push(more);
    }

    /// Notes where the file of a bound socket is.
    pub(super) fn find_file(
        &mut self,
        descriptor: &Descriptor,
        kernel: &Socket,
        usk: &mut UnixSkEntry,
        more: &mut StasisSocketEntry,
    ) -> Result<()> {
        let (Some(key), false) = (kernel.file, kernel.name.first().is_none_or(|byte| *byte == 0)) else {
            return Ok(());
        };
        let file = match self.files.get(&key) {
            Some(file) => file.clone(),
            None => self.files.entry(key).or_insert(File::of(descriptor)?).clone(),
        };
        // One that was accepted only carries the name of its listener.
        let carries = by_connection(usk.r#type) && usk.state == ESTABLISHED;
        if !file.reachable && !file.deleted && !carries {
            let reason = "its path does not lead to the file that it is bound to: it is on another mount";
            return Err(Error::unsupported(descriptor.describe(), reason));
        }
        usk.file_perms = Some(file.perms);
        usk.deleted = file.deleted.then_some(true);
        let name = kernel.name.strip_suffix(b"\0").unwrap_or(&kernel.name);
        if !name.starts_with(b"/") {
            let dir = file.path.strip_suffix(name).and_then(|dir| dir.strip_suffix(b"/"));
            let parent = file.path.rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
            let dir = dir.unwrap_or(parent);
            usk.name_dir = Some(if dir.is_empty() { b"/".to_vec() } else { dir.to_vec() });
        }
        let leads = match &usk.name_dir {
            Some(dir) => [dir.strip_suffix(b"/").unwrap_or(dir), b"/", name].concat(),
            None => name.to_vec(),
        };
        more.path = (leads != file.path).then_some(file.path);
        Ok(())
    }

    /// Writes queues and what else there is.
    pub(in super::super) fn write(&mut self, out: &NewImageDir) -> Result<()> {
        if !self.queues.entries.is_empty() {
            let mut writer = out.writer(kinds::SK_QUEUES.single());
            for (entry, bytes) in &self.queues.entries {
                writer.entry(entry)?;
                writer.payload(bytes)?;
            }
            writer.finish()?;
        }
        self.more.retain(|more| *more != StasisSocketEntry { id: more.id, ..StasisSocketEntry::default() });
        if !self.more.is_empty() {
            out.write_all(kinds::STASIS_SOCKET.single(), &self.more)?;
        }
        Ok(())
    }
}

impl File {
    fn of(descriptor: &Descriptor) -> Result<File> {
        let doing = || format!("find the file that {} is bound to", descriptor.describe());
        let file = socket_fd(descriptor.copy.as_fd(), SocketFd::BoundFile).doing(doing)?;
        let found = fstat(&file).doing(doing)?;
        let link = nix::fcntl::readlink(format!("/proc/self/fd/{}", file.as_raw_fd()).as_str()).doing(doing)?;
        let link = link.into_vec();
        let is_it =
            |path: &[u8]| stat(path).is_ok_and(|other| (other.st_dev, other.st_ino) == (found.st_dev, found.st_ino));
        let reachable = is_it(&link);
        let gone = link.strip_suffix(DELETED).filter(|_| !reachable);
        let perms = FilePermsEntry { mode: found.st_mode, uid: found.st_uid, gid: found.st_gid };
        Ok(File { deleted: gone.is_some(), path: gone.unwrap_or(&link).to_vec(), reachable, perms })
    }
}

/// Checks, when all sockets are known, that they belong together: who is connected to whom, and who waits where. What is
/// outside the tree is refused or noted, as the caller says.
pub fn settle(entries: &mut Vec<FileEntry>, cx: &mut DumpContext<'_>) -> Result<()> {
    let root = cx.options.pid;
    let ids: HashMap<u32, u32> =
        entries.iter().filter_map(|file| file.usk.as_ref()).map(|usk| (usk.ino, usk.id)).collect();
    let mut outside = HashSet::new();
    for usk in entries.iter_mut().filter_map(|file| file.usk.as_mut()) {
        if by_connection(usk.r#type) && usk.state == ESTABLISHED && usk.peer == 0 {
            usk.peer = cx.sockets.diag()?.listener_of(usk.ino).unwrap_or(0);
        }
        if usk.state == LISTEN {
            let waiting = wait_in(usk.ino, &ids, &mut cx.sockets);
            cx.refusals.hear(root, waiting)?;
        }
        if usk.peer != 0 && !ids.contains_key(&usk.peer) {
            let allowed = allowed(usk, cx);
            if cx.refusals.hear(root, allowed)? == Some(false) {
                outside.insert(usk.peer);
            }
        }
    }
    let mut outside: Vec<u32> = outside.into_iter().collect();
    outside.sort_unstable();
    for inode in outside {
        let id = cx.new_id();
        let usk = named(id, inode, cx.sockets.diag()?.get(inode).map(|peer| peer.name.clone()).unwrap_or_default());
        entries.push(FileEntry { r#type: FdTypes::Unixsk as i32, id, usk: Some(usk), ..FileEntry::default() });
    }
    Ok(())
}

/// Notes the clients whose connections wait in a listener.
fn wait_in(listener: u32, ids: &HashMap<u32, u32>, found: &mut Found) -> Result<()> {
    let Some(known) = found.known.get(&listener) else { return Ok(()) };
    let mut waiting = Vec::new();
    for client in &known.kernel.waiting {
        match ids.get(client) {
            Some(id) => waiting.push(*id),
            None => {
                let reason = match client {
                    0 => "a client whose connection waits to be accepted has closed it; what it sent cannot be read"
                        .to_owned(),
                    _ => {
                        format!("{}, whose connection waits to be accepted, is outside the tree", diag::owner(*client))
                    }
                };
                let help = "let the listener accept the connection before the dump";
                return Err(Error::unsupported(known.what.clone(), reason).with_help(help));
            }
        }
    }
    found.more[known.more].waiting = waiting;
    Ok(())
}

/// Whether the caller says that the socket's peer may be outside the tree and is lost (`--external unix[INO]`). False if
/// it is one that can be connected to again by its name (`--ext-unix-sk`); all others are refused.
fn allowed(usk: &UnixSkEntry, cx: &mut DumpContext<'_>) -> Result<bool> {
    let is_it = |external: &External| matches!(external, External::Unix { inode } if [u64::from(usk.ino), u64::from(usk.peer)].contains(inode));
    if cx.options.common.external.iter().any(is_it) {
        return Ok(true);
    }
    let has_name = cx.sockets.diag()?.get(usk.peer).is_some_and(|peer| !peer.name.is_empty());
    let datagram = !by_connection(usk.r#type);
    if datagram && has_name && cx.options.common.ext_unix_sk {
        return Ok(false);
    }
    let what = cx.sockets.known.get(&usk.ino).map(|known| known.what.clone()).unwrap_or_default();
    let ino = usk.ino;
    let help = match datagram && has_name {
        true => format!(
            "with --ext-unix-sk it is connected to that name again at the restore; or close it, or use --external \
             'unix[{ino}]'"
        ),
        false => format!(
            "dump that process as well, close the socket, or use --external 'unix[{ino}]': it is restored with its peer \
             gone, or as what --inherit-fd 'fd[N]:socket:[{ino}]' gives"
        ),
    };
    Err(Error::unsupported(what, format!("its peer, {}, is outside the tree", diag::owner(usk.peer))).with_help(help))
}

/// An entry that stands for a socket outside the tree, for its name.
fn named(id: u32, ino: u32, name: Vec<u8>) -> UnixSkEntry {
    UnixSkEntry {
        id,
        ino,
        r#type: libc::SOCK_DGRAM as u32,
        state: 7,
        flags: libc::O_RDWR as u32,
        uflags: EXTERN,
        fown: no_owner(),
        opts: SkOptsEntry::default(),
        name,
        ..UnixSkEntry::default()
    }
}
