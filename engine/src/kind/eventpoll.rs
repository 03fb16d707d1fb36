//! An epoll set: what it watches, by number, events and the program's word, and its flags and owner survive; also where
//! the number was closed or is another file by now, and where sets watch sets. A registration whose one report
//! (EPOLLONESHOT) is spent stays so, save that an error or a hang-up is reported where nothing else is ready at the
//! restore. What an edge-triggered one has reported is reported again if it is still so.

use super::eventfd::missing;
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{EventpollFileEntry, EventpollTfdEntry, FdTypes, FdinfoEntry, FileEntry, StasisWatched};
use crate::proc::fdinfo::{Body, EpollTarget};
use crate::sys::Pid;
use crate::sys::event::{self, Table};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// See the module.
pub struct Eventpoll;

impl Kind for Eventpoll {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Eventpoll
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        // fdinfo of a set that watches nothing says nothing.
        descriptor.link == b"anon_inode:[eventpoll]"
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let targets = match &descriptor.info.body {
            Body::Epoll(targets) => targets.as_slice(),
            _ => &[],
        };
        let tfd = targets.iter().map(|target| entry(id, target)).collect();
        if !targets.is_empty() {
            let set = descriptor.copy.try_clone().doing(|| format!("copy {}", descriptor.describe()))?;
            let what = descriptor.describe();
            cx.epolls.push(Watching { id, set, pid: descriptor.pid, targets: targets.to_vec(), what });
        }
        let epfd = EventpollFileEntry { id, flags: descriptor.flags(), fown: descriptor.owner()?, tfd };
        Ok(FileEntry { r#type: FdTypes::Eventpoll as i32, id, epfd: Some(epfd), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    /// Still empty: [`register`] fills it when all files are there.
    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(epfd) = &entry.epfd else { return Err(missing(entry, "epoll set")) };
        let fd = event::epoll().doing(|| "make an epoll set")?;
        crate::sys::file::set_flags(fd.as_fd(), epfd.flags as i32).doing(|| "set flags of an epoll set")?;
        cx.set_owner(fd.as_fd(), &epfd.fown)?;
        Ok(fd)
    }

    /// Nothing: see [`register`] and [`register_signals`].
    fn attach(&self, _: &FileEntry, _: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        Vec::new()
    }
}

fn entry(id: u32, target: &EpollTarget) -> EventpollTfdEntry {
    EventpollTfdEntry {
        id,
        tfd: target.fd as u32,
        events: target.events,
        data: target.data,
        dev: Some(target.sdev),
        inode: Some(target.ino),
        pos: Some(target.pos as u64),
    }
}

/// An epoll set of a tree that is dumped.
#[derive(Debug)]
pub struct Watching {
    /// The set's file id.
    pub id: u32,
    /// Our copy of it.
    pub set: OwnedFd,
    /// A task that has it.
    pub pid: Pid,
    /// What it watches, in the order of fdinfo.
    pub targets: Vec<EpollTarget>,
    /// The set in words.
    pub what: String,
}

impl Watching {
    /// Which registration of several with its number the one at `index` is.
    pub fn nth(&self, index: usize) -> u32 {
        self.targets[..index].iter().filter(|earlier| earlier.fd == self.targets[index].fd).count() as u32
    }

    /// Notes the ids of the watched files, found by the caller, in the set's entry and beside it. `table` is one in
    /// which the set is.
    pub fn settle(&self, files: &[u32], table: &[FdinfoEntry], entry: &mut FileEntry, cx: &mut DumpContext<'_>) {
        let Some(epfd) = &mut entry.epfd else { return };
        let has = |number: u32, file: u32| table.iter().any(|fd| fd.fd == number && fd.id == file);
        if epfd.tfd.iter().zip(files).all(|(target, file)| has(target.tfd, *file)) {
            return;
        }
        let watched = epfd.tfd.iter().zip(files).map(|(target, &file)| StasisWatched { file, number: target.tfd });
        let more = crate::image::proto::StasisFileEntry {
            id: self.id,
            watched: watched.collect(),
            ..crate::image::proto::StasisFileEntry::default()
        };
        cx.extras.push(more);
        // An engine that knows nothing of that registers the file by another number that it has.
        for (target, &file) in epfd.tfd.iter_mut().zip(files).filter(|(target, file)| !has(target.tfd, **file)) {
            if let Some(other) = table.iter().find(|fd| fd.id == file) {
                target.tfd = other.fd;
            }
        }
    }
}

/// A registration to be made.
struct Registration {
    set: i32,
    file: u32,
    number: i32,
    events: u32,
    data: u64,
}

impl Registration {
    /// Whether its one report is spent: only the bits that say how are left.
    fn is_spent(&self) -> bool {
        const HOW: u32 = (libc::EPOLLWAKEUP | libc::EPOLLONESHOT | libc::EPOLLET | libc::EPOLLEXCLUSIVE) as u32;
        self.events & libc::EPOLLONESHOT as u32 != 0 && self.events & !HOW == 0
    }
}

/// Has the epoll sets watch what they watched. To be called when all files are open and nothing was handed out yet:
/// later events reach the sets as they would have. The kernel remembers a number with each file: it is made in a
/// descriptor table of the engine's own.
pub fn register(cx: &RestoreContext<'_>, tables: &HashMap<u32, Vec<FdinfoEntry>>) -> Result<()> {
    let mut all = Vec::new();
    for (&id, entry) in cx.files {
        if let (Some(epfd), Some(set)) = (&entry.epfd, cx.open.get(&id)) {
            all.extend(registrations(id, set.as_raw_fd(), epfd, cx, tables)?);
        }
    }
    if all.is_empty() {
        return Ok(());
    }
    // Who registers a signalfd is told of its own signals: the tasks do that.
    all.retain(|one: &Registration| cx.files[&one.file].r#type() != FdTypes::Signalfd);
    // Spent ones first: to spend them takes a report, and none else is there then.
    all.sort_by_key(|one| !one.is_spent());
    Table::with(|table| register_all(&all, cx, table)).doing(|| "make a descriptor table for epoll")?
}

/// The calls by which a task registers the signalfds that epoll sets of its table watch: the kernel looks at the signals
/// of whoever registers. `done` holds the sets and places that are registered already.
pub fn register_signals(
    table: &[FdinfoEntry],
    files: &HashMap<u32, FileEntry>,
    done: &mut HashSet<(u32, usize)>,
) -> Vec<BatchCall> {
    let mut calls = Vec::new();
    for set in table {
        let Some(epfd) = files.get(&set.id).and_then(|entry| entry.epfd.as_ref()) else { continue };
        for (i, target) in epfd.tfd.iter().enumerate() {
            let file = table.iter().find(|fd| fd.fd == target.tfd).and_then(|fd| files.get(&fd.id));
            if file.is_some_and(|file| file.r#type() == FdTypes::Signalfd) && done.insert((set.id, i)) {
                let args = [set.fd.into(), libc::EPOLL_CTL_ADD as u64, target.tfd.into(), 0, 0, 0];
                let doing = format!("register the signalfd {} in the epoll set {}", target.tfd, set.fd);
                let data = Some((3, event::registration(target.events, target.data)));
                calls.push(BatchCall { nr: libc::SYS_epoll_ctl, args, data, doing });
            }
        }
    }
    calls
}

fn registrations(
    id: u32,
    set: i32,
    epfd: &EventpollFileEntry,
    cx: &RestoreContext<'_>,
    tables: &HashMap<u32, Vec<FdinfoEntry>>,
) -> Result<Vec<Registration>> {
    let watched = cx.extras.get(&id).map(|more| more.watched.as_slice()).filter(|watched| !watched.is_empty());
    let own = || tables.values().filter(|table| table.iter().any(|fd| fd.id == id));
    if watched.is_some_and(|watched| watched.len() != epfd.tfd.len()) {
        return Err(Error::state(format!("the images do not say of every file what epoll set {id} watches")));
    }
    let one = |(i, target): (usize, &EventpollTfdEntry)| {
        let (file, number) = match watched {
            Some(watched) => (Some(watched[i].file), watched[i].number),
            None => (own().flatten().find(|fd| fd.fd == target.tfd).map(|fd| fd.id), target.tfd),
        };
        let file = file.filter(|file| cx.open.contains_key(file));
        let lost =
            || Error::state(format!("epoll set {id} watches descriptor {number}, which no task of the images has"));
        let number = i32::try_from(number).map_err(|_| lost())?;
        Ok(Registration { set, file: file.ok_or_else(lost)?, number, events: target.events, data: target.data })
    };
    epfd.tfd.iter().enumerate().map(one).collect()
}

fn register_all(all: &[Registration], cx: &RestoreContext<'_>, table: &mut Table) -> Result<()> {
    // Where in this table the files are that are still needed; they move out of the way of numbers.
    let mut at: HashMap<i32, i32> = HashMap::new();
    let mut holders: HashMap<i32, i32> = HashMap::new();
    let own = |file: u32| cx.open[&file].as_raw_fd();
    for fd in all.iter().flat_map(|one| [one.set, own(one.file)]) {
        at.insert(fd, fd);
        holders.insert(fd, fd);
    }
    for one in all {
        let doing = || format!("register descriptor {} in an epoll set", one.number);
        let source = own(one.file);
        if at[&source] != one.number {
            if let Some(moved) = holders.remove(&one.number) {
                let place = table.copy(one.number).doing(doing)?;
                at.insert(moved, place);
                holders.insert(place, moved);
            }
            table.place(at[&source], one.number).doing(doing)?;
        }
        watch(one, at[&one.set], table).doing(doing)?;
        if at[&source] != one.number {
            table.close(one.number);
        }
    }
    Ok(())
}

fn watch(one: &Registration, set: i32, table: &mut Table) -> crate::sys::Result<()> {
    if !one.is_spent() {
        return table.watch(set, one.number, one.events, one.data, false);
    }
    const ANY: i32 = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLPRI | libc::EPOLLRDHUP;
    table.watch(set, one.number, one.events | ANY as u32, one.data, false)?;
    match table.take(set)? {
        true => Ok(()),
        false => table.watch(set, one.number, one.events, one.data, true),
    }
}
