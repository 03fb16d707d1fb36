//! Descriptors and the open file descriptions behind them; the files that tasks have without a descriptor (executable,
//! working directory, root, mapped files).

use super::freeze::Outline;
use super::outside::OutsideDescriptor;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FdinfoEntry, FileEntry, FsEntry};
use crate::kind::eventpoll::Watching;
use crate::kind::tty;
use crate::kind::{self, Descriptor, DumpContext};
use crate::options::DumpOptions;
use crate::parallel;
use crate::proc::ProcDir;
use crate::proc::fdinfo::{self, FdInfo};
use crate::proc::maps::Mapping;
use crate::sys::kcmp::{What, kcmp, kcmp_watched};
use crate::sys::{self, Pid};
use nix::sys::stat::{FileStat, fstat};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Descriptors that we hold copies of at a time.
const WINDOW: usize = 256;

/// What two descriptors of one open file description have in common for sure: kcmp is asked only within such a group.
type Group = (u64, u64, u32, i64);

/// A file that a task has otherwise than by a descriptor: device, inode, flags, whether deleted, and its path.
type PathKey = (u64, u64, u32, Vec<u8>);

/// Device, inode and path of a mapping, and whether its file is opened for writing: in one mount namespace the same file.
type MappedKey = ((u32, u32), u64, Vec<u8>, bool);

/// A copy of a descriptor, and what it said of itself.
struct Copied {
    copy: OwnedFd,
    stat: FileStat,
    ahead: Option<(u64, kind::sk::opts::Options)>,
}

/// Every file of the tree, each once.
pub struct Files<'a> {
    /// The messages for files.img.
    pub entries: Vec<FileEntry>,
    /// What the kinds share.
    pub cx: DumpContext<'a>,
    /// For each group its members in kcmp's order: a descriptor each, the file's id and its type.
    known: HashMap<Group, Vec<(Pid, i32, u32, i32)>>,
    paths: HashMap<PathKey, u32>,
    /// Where descriptors of files point.
    links: Vec<(Vec<u8>, u32)>,
    /// Files that some task has mapped, by what its maps say of them and whether they are opened for writing.
    mapped: HashMap<MappedKey, u32>,
    /// Files that no task has: they are under way in queues, and ours are what others are compared with.
    under_way: Vec<OwnedFd>,
}

impl<'a> Files<'a> {
    /// No file yet.
    pub fn new(options: &'a DumpOptions) -> Files<'a> {
        let cx = DumpContext::new(options);
        Files {
            entries: Vec::new(),
            cx,
            known: HashMap::new(),
            paths: HashMap::new(),
            links: Vec::new(),
            mapped: HashMap::new(),
            under_way: Vec::new(),
        }
    }

    /// Takes note of the tasks of the tree.
    pub fn know(&mut self, tree: &[&Outline]) {
        self.cx.tree = tree.iter().map(|process| process.pid).collect();
        let threads = tree.iter().flat_map(|process| process.tids.iter().copied());
        self.cx.threads = threads.filter(|tid| !self.cx.tree.contains(tid)).collect();
    }

    /// The descriptors of a process.
    pub fn table(&mut self, process: &Outline, descriptors: Vec<OutsideDescriptor>) -> Result<Vec<FdinfoEntry>> {
        let pid = process.speaker();
        // A zombie leader's table is gone; its threads still have it.
        let source = match process.has_dead_leader() {
            false => sys::pidfd::open(pid),
            true => sys::pidfd::open_thread(pid),
        }
        .doing(|| format!("open a pidfd of task {pid}"))
        .map_err(|e| match process.has_dead_leader() {
            true => e.with_help("the descriptors of a process whose main thread has exited need Linux 6.9"),
            false => e,
        })?;
        let mut table = Vec::with_capacity(descriptors.len());
        self.cx.asked = tty::Asked {
            free: (0..).zip(&descriptors).find(|(n, d)| *n != d.fd).map_or(descriptors.len() as i32, |(n, _)| n),
            background: process.stat.terminal().filter(|_| process.stat.tpgid != process.stat.pgrp),
        };
        let copy = |fd: i32| -> Result<Copied> {
            let copy = sys::pidfd::get_fd(source.as_fd(), fd)
                .doing(|| format!("take a copy of descriptor {fd} of task {pid}"))?;
            let stat = fstat(&copy).doing(|| format!("look at descriptor {fd} of task {pid}"))?;
            let ahead = kind::sk_unix::ask_ahead(copy.as_fd(), &stat);
            Ok(Copied { copy, stat, ahead })
        };
        let mut descriptors = descriptors.into_iter();
        while descriptors.len() > 0 {
            let window: Vec<OutsideDescriptor> = descriptors.by_ref().take(WINDOW).collect();
            let copies = parallel::map(&window, |descriptor| Ok::<_, Error>(copy(descriptor.fd)))?;
            for (outside, copy) in window.into_iter().zip(copies) {
                let entry = copy.and_then(|copy| self.of_number(process, outside, copy));
                table.extend(self.cx.refusals.hear(process.pid, entry)?);
            }
        }
        Ok(table)
    }

    /// A descriptor of a process, with a copy of it.
    fn of_number(
        &mut self,
        process: &Outline,
        outside: OutsideDescriptor,
        Copied { copy, stat, ahead }: Copied,
    ) -> Result<FdinfoEntry> {
        let OutsideDescriptor { fd, link, info } = outside;
        let flags = u32::from(info.flags & libc::O_CLOEXEC as u32 != 0);
        let descriptor = Descriptor { pid: process.speaker(), fd, queue: None, link, stat, info, copy };
        self.cx.sockets.ahead = ahead;
        let (id, r#type) = self.of_descriptor(&descriptor)?;
        kind::locks::dump(&descriptor, process.pid, id, &mut self.cx)?;
        Ok(FdinfoEntry { id, flags, r#type, fd: fd as u32, xattr_security_selinux: None })
    }

    /// The file behind a descriptor: the one that another descriptor already showed, or a new one.
    fn of_descriptor(&mut self, descriptor: &Descriptor) -> Result<(u32, i32)> {
        let stat = &descriptor.stat;
        let group = (stat.st_dev, stat.st_ino, descriptor.flags(), descriptor.info.pos);
        let members = self.known.entry(group).or_default();
        let mut failed = None;
        let place = members.binary_search_by(|(pid, fd, ..)| {
            kcmp(*pid, descriptor.pid, What::File, *fd as u64, descriptor.fd as u64).unwrap_or_else(|e| {
                failed = Some(e);
                Ordering::Less
            })
        });
        if let Some(errno) = failed {
            return Err(errno).doing(|| format!("compare {} with others", descriptor.describe()));
        }
        let place = match place {
            Ok(found) => return Ok((members[found].2, members[found].3)),
            Err(place) => place,
        };
        let kind = kind::recognise(descriptor)?;
        let (id, r#type) = (self.cx.new_id(), kind.fd_type() as i32);
        members.insert(place, (descriptor.pid, descriptor.fd, id, r#type));
        self.links.push((descriptor.link.clone(), id));
        let entry = kind.dump(descriptor, id, &mut self.cx)?;
        self.entries.push(entry);
        self.entries.append(&mut self.cx.more);
        Ok((id, r#type))
    }

    /// Finds the files that are under way in queues of sockets, when all descriptors are known; they may be sockets with
    /// queues of their own. Then every socket is known, and which of them belong together.
    pub fn find_queued(&mut self) -> Result<()> {
        let dir = ProcDir::current()?;
        while let Some((place, copy, queue)) = self.cx.sockets.queues.unresolved() {
            let fd = copy.as_raw_fd();
            let doing = || format!("look at a descriptor in the queue of {queue}");
            let stat = fstat(&copy).doing(doing)?;
            let link = dir.readlink(&format!("fd/{fd}"))?;
            let info = fdinfo::read(&dir, fd, &mut Vec::new())?;
            let descriptor = Descriptor { pid: Pid::this(), fd, queue: Some(queue), link, stat, info, copy };
            let known = self.entries.len();
            let (id, r#type) = self.of_descriptor(&descriptor)?;
            if self.cx.late.contains(&id) || r#type == FdTypes::Userfaultfd as i32 {
                return Err(Error::unsupported(descriptor.describe(), "only a process that has it can open it again"));
            }
            if self.entries.len() > known {
                if !descriptor.info.locks.is_empty() {
                    return Err(Error::unsupported(descriptor.describe(), "a lock is held through it"));
                }
                self.under_way.push(descriptor.copy);
            }
            self.cx.sockets.queues.found(place, id);
        }
        self.cx.eventfds.clear();
        kind::sk_unix::settle(&mut self.entries, &mut self.cx)
    }

    /// Finds what epoll sets, inotify and fanotify descriptors watch, when all descriptors are known. `tables` are the tasks' by a thread of each.
    pub fn find_watched(&mut self, tables: &HashMap<Pid, &[FdinfoEntry]>) -> Result<()> {
        for set in std::mem::take(&mut self.cx.epolls) {
            let found = self.find_targets(&set, tables.get(&set.pid).copied().unwrap_or_default());
            self.cx.refusals.hear(set.pid, found)?;
        }
        self.cx.find_watched(&mut self.entries)
    }

    /// Finds what an epoll set watches. `table` is that of the task that showed it.
    fn find_targets(&mut self, set: &Watching, table: &[FdinfoEntry]) -> Result<()> {
        let numbers: HashMap<u32, u32> = table.iter().map(|fd| (fd.fd, fd.id)).collect();
        let watched = |i| self.watched_by(set, i, &numbers);
        let files = (0..set.targets.len()).map(watched).collect::<Result<Vec<u32>>>()?;
        if let Some(late) = files.iter().position(|id| self.cx.late.contains(id)) {
            let number = set.targets[late].fd;
            let reason = format!("it watches descriptor {number}, a file of /proc about a part of a process");
            return Err(Error::unsupported(set.what.clone(), reason)
                .with_help("open the file below the directory of the process: /proc/PID/mounts"));
        }
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == set.id) {
            set.settle(&files, table, entry, &mut self.cx);
        }
        Ok(())
    }

    /// The file of an epoll set's registration: what its number stands for now, or any of the tree.
    fn watched_by(&self, set: &Watching, index: usize, numbers: &HashMap<u32, u32>) -> Result<u32> {
        let target = &set.targets[index];
        let nth = set.nth(index);
        let compare = |pid, fd| {
            kcmp_watched(pid, fd, set.set.as_fd(), target.fd, nth)
                .doing(|| format!("look for what {} watches as descriptor {}", set.what, target.fd))
        };
        if let Some(&id) = numbers.get(&(target.fd as u32))
            && compare(set.pid, target.fd)? == Ordering::Equal
        {
            return Ok(id);
        }
        // On some file systems the inode that fdinfo shows is not that of stat(2): these are looked at last.
        for same_inode in [true, false] {
            for (_, members) in self.known.iter().filter(|(group, _)| (group.1 == target.ino) == same_inode) {
                let mut failed = None;
                let found = members.binary_search_by(|(pid, fd, ..)| {
                    compare(*pid, *fd).unwrap_or_else(|e| {
                        failed = Some(e);
                        Ordering::Less
                    })
                });
                match (failed, found) {
                    (Some(e), _) => return Err(e),
                    (None, Ok(found)) => return Ok(members[found].2),
                    (None, Err(_)) => {}
                }
            }
        }
        let reason = format!(
            "it watches a file that no process of the tree has any more (registered as descriptor {})",
            target.fd
        );
        Err(Error::unsupported(set.what.clone(), reason).with_help("remove it from the set before it is closed"))
    }

    /// Completes what kinds could not know before all descriptors and areas were known. `tables` are the descriptors of
    /// each live process: its pid, a thread of it and its table.
    pub fn settle(&mut self, tables: &[(Pid, Pid, &[FdinfoEntry])]) -> Result<()> {
        kind::userfaultfd::settle(&mut self.cx, tables)?;
        kind::io_uring::settle(&mut self.cx, tables, &self.entries, &self.links)
    }

    /// Notes what eventfds said that were asked.
    pub fn set_semaphores(&mut self, ids: &[u32]) {
        if ids.is_empty() {
            return;
        }
        let ids: HashSet<u32> = ids.iter().copied().collect();
        let found = self.entries.iter_mut().filter(|entry| ids.contains(&entry.id));
        found.for_each(kind::eventfd::set_semaphore);
    }

    /// The working directory and the root of a process.
    pub fn directories(&mut self, process: &Outline) -> Result<FsEntry> {
        let pid = process.speaker();
        let cwd_id = self.of_link(pid, "cwd", libc::O_DIRECTORY)?;
        let root_id = self.of_link(pid, "root", libc::O_DIRECTORY)?;
        Ok(FsEntry { cwd_id, root_id, umask: process.status.umask })
    }

    /// The executable of a process.
    pub fn executable(&mut self, process: &Outline) -> Result<u32> {
        self.of_link(process.speaker(), "exe", 0)
    }

    /// A file that a link of /proc/PID points at, whatever became of its name; `flags` are how it is to be opened at
    /// restore.
    pub fn of_link(&mut self, pid: Pid, link: &str, flags: i32) -> Result<u32> {
        let path = format!("/proc/{pid}/{link}");
        let doing = || format!("follow {path}");
        let target = nix::fcntl::readlink(path.as_str()).doing(doing)?;
        let target = std::os::unix::ffi::OsStringExt::into_vec(target);
        let o_path = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC;
        let copy = nix::fcntl::open(path.as_str(), o_path, nix::sys::stat::Mode::empty()).doing(doing)?;
        let stat = fstat(&copy).doing(doing)?;
        self.of_path(pid, target, stat, copy, flags)
    }

    /// A file known by its path and an O_PATH copy. Equal ones become one file of the images: they are no open file
    /// descriptions of the tree's.
    fn of_path(&mut self, pid: Pid, link: Vec<u8>, stat: FileStat, copy: OwnedFd, flags: i32) -> Result<u32> {
        let key = (stat.st_dev, stat.st_ino, flags as u32, link.clone());
        if let Some(&id) = self.paths.get(&key) {
            return Ok(id);
        }
        let id = self.cx.new_id();
        let info = FdInfo {
            pos: 0,
            flags: flags as u32,
            mnt_id: -1,
            ino: None,
            locks: Vec::new(),
            body: fdinfo::Body::None,
            other: Vec::new(),
        };
        let descriptor = Descriptor { pid, fd: kind::NO_NUMBER, queue: None, link, stat, info, copy };
        let entry = kind::dump_path(&descriptor, id, &mut self.cx)?;
        self.entries.push(entry);
        self.paths.insert(key, id);
        Ok(id)
    }

    /// The file of a mapping, opened through /proc/PID/map_files by the caller's descriptor: `range` is its name there.
    pub fn of_mapping(&mut self, pid: Pid, mapping: &Mapping, range: &str, writable: bool) -> Result<u32> {
        let key = (mapping.dev, mapping.inode, mapping.name.clone(), writable);
        if let Some(&id) = self.mapped.get(&key) {
            return Ok(id);
        }
        let flags = if writable { libc::O_RDWR } else { libc::O_RDONLY };
        let id = self.of_link(pid, &format!("map_files/{range}"), flags).map_err(|e| {
            e.with_help("reading /proc/PID/map_files needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN: run as root")
        })?;
        self.mapped.insert(key, id);
        Ok(id)
    }
}

/// Which processes share something that kcmp can compare: for each process a number, equal where it is shared.
pub fn shared_ids(processes: &[&Outline], what: What, first: u32) -> Result<Vec<u32>> {
    let mut order: Vec<(Pid, u32)> = Vec::new();
    let mut ids = Vec::with_capacity(processes.len());
    for process in processes {
        let pid = process.speaker();
        let mut failed = None;
        let place = order.binary_search_by(|(other, _)| {
            kcmp(*other, pid, what, 0, 0).unwrap_or_else(|e| {
                failed = Some(e);
                Ordering::Less
            })
        });
        if let Some(errno) = failed {
            return Err(errno).doing(|| format!("compare task {pid} with others"));
        }
        match place {
            Ok(found) => ids.push(order[found].1),
            Err(place) => {
                let id = first + order.len() as u32;
                order.insert(place, (pid, id));
                ids.push(id);
            }
        }
    }
    Ok(ids)
}

/// Refuses a process whose threads do not share descriptors or directories: clone3 without CLONE_FILES or CLONE_FS.
pub fn check_threads_share(process: &Outline) -> Result<()> {
    // With many threads this would cost more than all the rest, and no program makes many of these.
    const LOOK_AT: usize = 64;
    let first = process.speaker();
    for &tid in process.tids.iter().skip(1).take(LOOK_AT) {
        for (what, name) in [(What::Files, "descriptor table"), (What::Fs, "working directory")] {
            let order = kcmp(first, tid, what, 0, 0).doing(|| format!("compare threads {first} and {tid}"))?;
            if order != Ordering::Equal {
                let object = format!("thread {tid} of process {}", process.pid);
                return Err(Error::unsupported(object, format!("it has a {name} of its own")));
            }
        }
    }
    Ok(())
}
