//! What the kinds share while a tree is dumped, and while one is restored.

use super::Descriptor;
use super::bpfmap::{Entries, Maps};
use super::eventpoll::Watching;
use super::ghost::{self, Ghosts, LinkRemaps};
use super::io_uring::Rings;
use super::locks::Locks;
use super::memfd;
use super::mounts::Mounts;
use super::pipe_data::{Contents, Pipes};
use super::sk_unix;
use super::tty;
use super::userfaultfd::{self, Userfaults};
use super::watched::{Finder, Watcher};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FileEntry, FownEntry, StasisFileEntry, StasisUserfaultfdRange};
use crate::image::{ImageDir, NewImageDir, kinds};
use crate::ns::mqueue::Queues;
use crate::options::{DumpOptions, InheritKey, RestoreOptions};
use crate::refusals::Refusals;
use crate::sys::pidfd::Ended;
use crate::sys::{self, Errno, Pid};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What the kinds share while a tree is dumped.
pub struct DumpContext<'a> {
    /// What the caller asked for.
    pub options: &'a DumpOptions,
    /// Deleted files.
    pub ghosts: Ghosts,
    /// The pipes whose content was taken.
    pub pipes: Contents,
    /// The same for fifos.
    pub fifos: Contents,
    /// Memory files.
    pub memfds: memfd::Memfds,
    /// Instances of io_uring.
    pub rings: Rings,
    /// Userfaultfds, and what is registered with them.
    pub userfaults: Userfaults,
    /// The entries of BPF maps.
    pub maps: Entries,
    /// Unix sockets, and what waits in queues.
    pub sockets: sk_unix::Found,
    /// Locks found.
    pub locks: Locks,
    /// What the files have that CRIU's messages have no field for.
    pub extras: Vec<StasisFileEntry>,
    /// Terminals.
    pub terminals: tty::Terminals,
    /// Epoll sets whose watched files are to be found when all descriptors are known.
    pub epolls: Vec<Watching>,
    /// Descriptors whose watched inodes are to be found when all files are known.
    pub watchers: Vec<Watcher>,
    /// The processes of the tree.
    pub tree: HashSet<Pid>,
    /// Their threads, without the first of each.
    pub threads: HashSet<Pid>,
    /// Files that come back when all others are there.
    pub late: HashSet<u32>,
    /// Eventfds of the task whose descriptors are being dumped that are to be asked for their mode.
    pub eventfds: Vec<super::eventfd::Unsaid>,
    /// Pairs of terminals whose masters the task has whose descriptors are being dumped, and that are to be asked for what
    /// is queued in them.
    pub tty_queues: Vec<tty::Queues>,
    /// Of that task.
    pub asked: tty::Asked,
    /// Message queues of the tree's own IPC namespace, where it has one.
    pub queues: Option<Queues>,
    /// Files that a kind needs beside the one that it dumps; whoever called it takes them from here.
    pub more: Vec<FileEntry>,
    /// What becomes of objects that cannot be dumped.
    pub refusals: Refusals,
    /// The next file id that is free.
    pub next_id: u32,
    /// Read when the first path is to be checked.
    mounts: Option<Mounts>,
    /// Made when the first watched object is to be found.
    finder: Option<Finder>,
}

impl<'a> DumpContext<'a> {
    /// Nothing found yet.
    pub fn new(options: &'a DumpOptions) -> DumpContext<'a> {
        DumpContext {
            options,
            ghosts: Ghosts::default(),
            pipes: Contents::default(),
            fifos: Contents::of_fifos(),
            memfds: memfd::Memfds::default(),
            rings: Rings::default(),
            userfaults: Userfaults::default(),
            maps: Entries::default(),
            sockets: sk_unix::Found::default(),
            locks: Locks::default(),
            extras: Vec::new(),
            terminals: tty::Terminals::default(),
            epolls: Vec::new(),
            watchers: Vec::new(),
            tree: HashSet::new(),
            threads: HashSet::new(),
            late: HashSet::new(),
            eventfds: Vec::new(),
            tty_queues: Vec::new(),
            asked: tty::Asked::default(),
            queues: None,
            more: Vec::new(),
            refusals: Refusals::default(),
            next_id: 1,
            mounts: None,
            finder: None,
        }
    }

    /// What finds watched objects.
    pub fn finder(&mut self) -> Result<&Finder> {
        let finder = self.finder.take().map_or_else(Finder::new, Ok)?;
        Ok(self.finder.insert(finder))
    }

    /// Makes files of what the tree watches, when all other files are known, and adds them to `entries`.
    pub fn find_watched(&mut self, entries: &mut Vec<FileEntry>) -> Result<()> {
        let watchers = std::mem::take(&mut self.watchers);
        if watchers.is_empty() {
            return Ok(());
        }
        let mut finder = self.finder.take().map_or_else(Finder::new, Ok)?;
        watchers.into_iter().try_for_each(|watcher| {
            let pid = watcher.pid;
            let found = finder.find(watcher, entries, self);
            self.refusals.hear(pid, found).map(drop)
        })
    }

    /// The mounts, read once.
    pub fn mounts(&mut self) -> Result<&Mounts> {
        let mounts = self.mounts.take().map_or_else(Mounts::read, Ok)?;
        Ok(self.mounts.insert(mounts))
    }

    /// Refuses a file that its path does not lead back to because of mounts.
    pub fn check_mount(&mut self, descriptor: &Descriptor) -> Result<()> {
        self.mounts()?.check(descriptor)
    }

    /// An id for another file.
    pub fn new_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

impl DumpContext<'_> {
    /// Writes what the kinds keep in images of their own. To be called last of all: files of which only a name was
    /// deleted get a new one here, and the entries that show it are added to `entries`.
    pub fn write(&mut self, entries: &mut Vec<FileEntry>, out: &NewImageDir) -> Result<LinkRemaps> {
        self.pipes.write(out)?;
        self.fifos.write(out)?;
        self.maps.write(out)?;
        let more = [self.pipes.more(), self.fifos.more()].concat();
        if !more.is_empty() {
            out.write_all(kinds::STASIS_PIPE.single(), &more)?;
        }
        self.terminals.write(out)?;
        self.sockets.write(out)?;
        if !self.extras.is_empty() {
            out.write_all(kinds::STASIS_FILE.single(), &self.extras)?;
        }
        let queues = self.queues.iter().map(|queues| queues.entries.as_slice()).find(|entries| !entries.is_empty());
        if let Some(queues) = queues {
            out.write_all(kinds::STASIS_MQUEUE.single(), queues)?;
        }
        self.memfds.write(out)?;
        if !self.locks.entries.is_empty() {
            out.write_all(kinds::FILE_LOCKS.single(), &self.locks.entries)?;
        }
        self.ghosts.write(out)?;
        self.ghosts.link(entries)
    }
}

/// What the kinds share while a tree is restored. Nothing in it outlives a restore: what was made for the moment is
/// gone again when it is dropped.
pub struct RestoreContext<'a> {
    /// What the caller asked for.
    pub options: &'a RestoreOptions,
    /// The images: the contents of deleted files are read when they are made.
    pub images: &'a ImageDir,
    /// The target's root directory: paths of the images are resolved below it and never leave it.
    pub root: BorrowedFd<'a>,
    /// Every file of the images by its id.
    pub files: &'a HashMap<u32, FileEntry>,
    /// The files that are already there.
    pub open: HashMap<u32, Arc<OwnedFd>>,
    /// The processes of the images.
    pub tree: HashSet<Pid>,
    /// Their threads, without the first of each.
    pub threads: HashSet<Pid>,
    /// What the files have beside their entries, by id.
    pub extras: HashMap<u32, StasisFileEntry>,
    /// Stand-ins for processes that are gone, by the inodes of their pidfds.
    pub ended: HashMap<u32, Ended>,
    /// Open message queues, by the ids of their files: made when the tree's IPC namespace was.
    pub queues: HashMap<u32, OwnedFd>,
    /// The pipes made so far.
    pub pipes: Pipes,
    /// The same for fifos.
    pub fifos: Pipes,
    /// Terminals.
    pub terminals: tty::Made,
    /// Userfaultfds that tasks have made, by id.
    pub userfaults: HashMap<u32, OwnedFd>,
    /// The BPF maps made so far.
    pub maps: Maps,
    /// Deleted files, by the id of the file that shows them.
    pub ghosts: ghost::Restorer,
    /// Memory files, by the ids of their inodes.
    pub memfds: memfd::Restorer,
    /// What is watched, by the ids of the files.
    pub targets: HashMap<u32, Arc<OwnedFd>>,
    /// Unix sockets, and what belongs in queues.
    pub sockets: sk_unix::Sockets,
    late: Vec<(OwnedFd, Late)>,
    last: Vec<Last>,
}

/// What is done when nothing else is left to do.
type Last = Box<dyn FnOnce() -> Result<()> + Send + Sync>;

/// What is done with a file late in a restore.
#[derive(Debug)]
pub enum Late {
    /// Its owner of asynchronous I/O did not exist when it was opened.
    Owner(FownEntry),
    /// Its text, and so what a position means, is not yet what it was.
    Position(i64),
    /// A memory file whose mappings and contents its seals would have forbidden.
    Memfd(memfd::Finish),
    /// A userfaultfd watches memory that the engine still writes to.
    Registrations(Vec<StasisUserfaultfdRange>),
}

impl<'a> RestoreContext<'a> {
    /// Nothing opened yet; reads what the kinds keep in images of their own.
    pub fn new(
        options: &'a RestoreOptions,
        images: &'a ImageDir,
        files: &'a HashMap<u32, FileEntry>,
        root: BorrowedFd<'a>,
    ) -> Result<RestoreContext<'a>> {
        Ok(RestoreContext {
            options,
            images,
            root,
            files,
            open: HashMap::new(),
            tree: HashSet::new(),
            threads: HashSet::new(),
            extras: images.read_all(kinds::STASIS_FILE.single())?.into_iter().map(|more| (more.id, more)).collect(),
            ended: HashMap::new(),
            queues: HashMap::new(),
            pipes: Pipes::load(images, kinds::PIPES_DATA.single(), false)?,
            fifos: Pipes::load(images, kinds::FIFO_DATA.single(), true)?,
            terminals: tty::Made::load(images)?,
            userfaults: HashMap::new(),
            maps: Maps::load(images)?,
            ghosts: ghost::Restorer::load(images)?,
            memfds: memfd::Restorer::load(images)?,
            targets: HashMap::new(),
            sockets: sk_unix::Sockets::load(images)?,
            late: Vec::new(),
            last: Vec::new(),
        })
    }

    /// The descriptor that the caller gave for an object (`--inherit-fd`), copied.
    pub fn inherited(&self, is_it: impl Fn(&InheritKey) -> bool) -> Result<Option<OwnedFd>> {
        let Some(given) = self.options.inherit_fds.iter().find(|i| is_it(&i.key)) else { return Ok(None) };
        sys::file::duplicate(given.fd.get()).doing(|| format!("take the inherited descriptor {given}")).map(Some)
    }

    /// Sets the owner of a file's asynchronous I/O. A thread that does not exist yet becomes the owner when
    /// [`RestoreContext::settle`] is called.
    pub fn set_owner(&mut self, fd: BorrowedFd<'_>, owner: &FownEntry) -> Result<()> {
        if set_owner(fd, owner)? {
            return Ok(());
        }
        self.later(fd, Late::Owner(*owner))
    }

    /// Does something with a file when [`RestoreContext::settle`] is called.
    pub fn later(&mut self, fd: BorrowedFd<'_>, what: Late) -> Result<()> {
        let copy = fd.try_clone_to_owned().doing(|| "copy a descriptor")?;
        self.late.push((copy, what));
        Ok(())
    }

    /// Does what had to wait until all tasks and threads are there and are what they were.
    pub fn settle(&mut self) -> Result<()> {
        for (fd, what) in self.late.drain(..) {
            match what {
                Late::Owner(owner) if set_owner(fd.as_fd(), &owner)? => {}
                // It had exited already when the tree was dumped: nobody gets the signal, as before.
                Late::Owner(owner) => tracing::warn!("the owner {} of a descriptor is gone", owner.pid),
                Late::Registrations(ranges) => userfaultfd::register(fd.as_fd(), &ranges)?,
                Late::Position(at) => {
                    nix::unistd::lseek(&fd, at, nix::unistd::Whence::SeekSet)
                        .doing(|| "set the position of a file of /proc")?;
                }
                Late::Memfd(finish) => finish.apply(fd.as_fd())?,
            }
        }
        Ok(())
    }

    /// Lets the names stand that were made, and takes those away that were made for the moment: to be called when
    /// nothing can fail any more.
    pub fn commit(&mut self) -> Result<()> {
        self.sockets.commit();
        self.ghosts.commit()
    }

    /// Does something when [`RestoreContext::finish`] is called.
    pub fn at_last(&mut self, what: impl FnOnce() -> Result<()> + Send + Sync + 'static) {
        self.last.push(Box::new(what));
    }

    /// Does what would notice everything that is done before: to be called when no file is made, opened or removed any
    /// more.
    pub fn finish(&mut self) -> Result<()> {
        self.last.drain(..).try_for_each(|what| what())
    }

    /// Closes every descriptor of the engine's but those that the last steps need, of which none is an end
    /// that others wait for: to be called when all tasks have theirs.
    pub fn close(&mut self) {
        self.open.clear();
        self.targets.clear();
        self.ended.clear();
        self.queues.clear();
        self.pipes.close();
        self.fifos.close();
        self.maps.close();
        self.ghosts.close();
        self.memfds.close();
        self.sockets.close();
    }
}

/// Sets the owner of asynchronous I/O; false if it does not exist. The kernel keeps the credentials of whoever sets it;
/// where they are not ours, this thread takes them for the moment of the call.
pub fn set_owner(fd: BorrowedFd<'_>, owner: &FownEntry) -> Result<bool> {
    if owner.signum != 0 {
        let signal = i32::try_from(owner.signum).map_err(|_| Error::state("a descriptor's signal is none"))?;
        sys::file::set_io_signal(fd, signal).doing(|| "set the signal of a descriptor")?;
    }
    if owner.pid == 0 {
        return Ok(true);
    }
    let set = || sys::file::set_owner(fd, owner.pid_type as i32, owner.pid as i32);
    let done = if owner.uid == 0 && owner.euid == 0 { set() } else { sys::file::as_user(owner.uid, owner.euid, set) };
    match done {
        Err(Errno::ESRCH) => Ok(false),
        other => other.doing(|| format!("make {} the owner of a descriptor", owner.pid)).map(|()| true),
    }
}
