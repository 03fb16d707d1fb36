//! Opening what was deleted, each kind in its way: ghosts, files with new names, files of /proc about dead tasks.

use super::super::regfile::{self, TMPFILE, how};
use super::super::{RestoreContext, pipe_data::reopen, procfs};
use super::make::{Ghost, open_nameless, parent};
use super::name::{Name, Places};
use super::restore::{Group, UsedLink};
use super::{LINK_REMAP, split};
use crate::error::{Doing, Error, Result};
use crate::fault;
use crate::image::proto::RegFileEntry;
use crate::sys::clone::Standin;
use crate::sys::handle::Handle;
use crate::sys::{Errno, Pid};
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::{SFlag, fstat};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the making has opened so far.
#[derive(Default)]
pub(super) struct Made {
    /// By the ids of the files.
    pub(super) opened: HashMap<u32, OwnedFd>,
    pub(super) links: Vec<UsedLink>,
}

impl Made {
    /// Opens an object by one of its names for all entries of the group that have this name. Of a fifo only the path is
    /// opened: everything else could block. Directories get their positions, which not every file system takes when
    /// they have no name any more.
    pub(super) fn open(&mut self, name: &Name, group: &[&RegFileEntry], fifo: bool) -> Result<()> {
        for reg in group {
            let flags = if fifo { how(reg) & OFlag::O_CLOEXEC | OFlag::O_PATH } else { how(reg) };
            let file = name.open(flags).doing(|| format!("open the deleted file {}", regfile::name(reg)))?;
            if name.is_dir {
                seek(file.as_fd(), reg)?;
            }
            self.opened.insert(reg.id, file);
        }
        Ok(())
    }

    /// Makes a ghost that is no directory.
    pub(super) fn ghost(&mut self, mut ghost: Ghost, group: &[&RegFileEntry], places: &mut Places<'_>) -> Result<()> {
        let mut nameless = None;
        if ghost.kind() == SFlag::S_IFREG {
            let (dir, _) = places.directory(parent(&group[0].name))?;
            if let Some(first) = group.iter().find(|reg| reg.flags as i32 & TMPFILE != 0)
                && self.never_named(&mut ghost, first, group, dir.as_fd())?
            {
                return Ok(());
            }
            nameless = ghost.nameless(dir.as_fd())?;
        }
        let mut names: Vec<Name> = Vec::new();
        for (path, group) in by_name(group) {
            // The inode is made once; its other names are links.
            let name = match names.first() {
                None => ghost.name(path, nameless.as_ref(), places)?,
                Some(first) => link_to(&first.object, path, places)?,
            };
            self.open(&name, &group, ghost.kind() == SFlag::S_IFIFO)?;
            names.push(name);
        }
        fault::point("a deleted file has its name")?;
        let Some(object) = names.first().map(|name| name.object.try_clone()) else { return Ok(()) };
        let object = object.doing(|| "copy a descriptor")?;
        names.into_iter().try_for_each(Name::remove)?;
        ghost.dress(object.as_fd())?;
        ghost.date(object.as_fd())
    }

    /// Makes a file that was opened by O_TMPFILE: by the same flag, so that it can still be given a name. Its path then
    /// shows another number, that of the new inode. False where the file system has no such files.
    fn never_named(
        &mut self,
        ghost: &mut Ghost,
        first: &RegFileEntry,
        group: &[&RegFileEntry],
        dir: BorrowedFd<'_>,
    ) -> Result<bool> {
        let doing = || format!("open the deleted file {}", regfile::name(first));
        let file = match open_nameless(dir, how(first)) {
            Ok(file) => file,
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => return Ok(false),
            Err(e) => return Err(e).doing(doing),
        };
        let writer = reopen(file.as_fd(), libc::O_WRONLY).doing(doing)?;
        ghost.fill(writer.as_fd())?;
        drop(writer);
        for reg in group.iter().filter(|reg| reg.id != first.id) {
            let again = reopen(file.as_fd(), (how(reg) & !OFlag::O_NOFOLLOW).bits()).doing(doing)?;
            self.opened.insert(reg.id, again);
        }
        ghost.dress(file.as_fd())?;
        ghost.date(file.as_fd())?;
        self.opened.insert(first.id, file);
        Ok(true)
    }

    /// Opens a file that has another name, made at the dump, by the deleted one.
    pub(super) fn linked(
        &mut self,
        target: u32,
        group: &[&RegFileEntry],
        places: &mut Places<'_>,
        cx: &RestoreContext<'_>,
    ) -> Result<()> {
        let Some(link) = cx.files.get(&target).and_then(|file| file.reg.as_ref()) else {
            return Err(Error::state(format!(
                "the images name file {target} in the place of a deleted one, and lack it"
            )));
        };
        let doing = || format!("open {}", regfile::name(link));
        let object = open_link(link, places, cx)?;
        regfile::check(link, object.as_fd(), cx)?;
        let stat = fstat(&object).doing(doing)?;
        let fifo = stat.st_mode & libc::S_IFMT == libc::S_IFIFO;
        for (path, group) in by_name(group) {
            let name = link_to(&object, path, places)?;
            self.open(&name, &group, fifo)?;
            name.remove()?;
        }
        // The images may say what they like: nothing else is ever removed.
        let (parent, last) = split(&link.name);
        if last.starts_with(LINK_REMAP.as_bytes()) {
            let (dir, _) = places.directory(parent)?;
            let dir = dir.try_clone().doing(doing)?;
            self.links.push(UsedLink { dir, name: last.to_vec(), inode: (stat.st_dev, stat.st_ino) });
        }
        Ok(())
    }
}

/// Gives an object that exists a deleted name back.
fn link_to(object: &OwnedFd, path: &[u8], places: &mut Places<'_>) -> Result<Name> {
    places.put(path, false, Some(object.as_fd()), |dir, name| super::links::link(object.as_fd(), dir, name))
}

/// Opens a file by the name that it got at the dump or, where that was taken away again, by its handle.
fn open_link(link: &RegFileEntry, places: &mut Places<'_>, cx: &RestoreContext<'_>) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let named = match (regfile::open_below(cx.root, &link.name, flags, resolve), cx.ghosts.handles.get(&link.id)) {
        (Err(Errno::ENOENT), Some(entry)) => {
            let (dir, _) = places.directory(parent(&link.name))?;
            let handle = Handle { kind: entry.kind, bytes: entry.handle.clone() };
            let found = handle.open(dir.as_fd());
            // Another file system may understand the handle too.
            found.and_then(|file| if fstat(&file)?.st_ino == entry.ino { Ok(file) } else { Err(Errno::ENOENT) })
        }
        (other, _) => other,
    };
    named.doing(|| format!("open {}", regfile::name(link))).map_err(|e| {
        e.with_help(
            "this name was made by --link-remap at the dump and is taken away by a restore; the file has no other",
        )
    })
}

impl Made {
    /// Opens files of /proc about a task that has exited, while another process has its pid.
    pub(super) fn dead(&mut self, pid: u32, group: &[&RegFileEntry], cx: &RestoreContext<'_>) -> Result<()> {
        let standin = stand_in(pid)?;
        for reg in group {
            self.opened.insert(reg.id, open_dead(reg, pid, &standin, cx)?);
        }
        standin.end().doing(|| format!("end the process in the place of {pid}"))
    }
}

/// Starts a process in the place of one that had exited.
pub(super) fn stand_in(pid: u32) -> Result<Standin> {
    let standin = match Standin::new(Some(Pid::from_raw(pid as i32))) {
        Err(Errno::EEXIST) => {
            tracing::warn!("pid {pid} is taken: open files of /proc about the dead task of that pid get another");
            Standin::new(None)
        }
        other => other,
    };
    standin.doing(|| format!("start a process in the place of {pid}, which had exited"))
}

/// Opens a file of /proc about `pid`, which has exited, by its stand-in.
pub(super) fn open_dead(reg: &RegFileEntry, pid: u32, standin: &Standin, cx: &RestoreContext<'_>) -> Result<OwnedFd> {
    let path = procfs::about(&reg.name, Pid::from_raw(pid as i32), standin.pid());
    let file = regfile::open_below(cx.root, &path, how(reg), ResolveFlag::RESOLVE_IN_ROOT)
        .doing(|| format!("open {}", regfile::name(reg)))?;
    seek(file.as_fd(), reg)?;
    Ok(file)
}

fn seek(file: BorrowedFd<'_>, reg: &RegFileEntry) -> Result<()> {
    if reg.pos == 0 || reg.flags & libc::O_PATH as u32 != 0 {
        return Ok(());
    }
    let position = nix::unistd::lseek(file, reg.pos as i64, nix::unistd::Whence::SeekSet);
    position.doing(|| format!("set the position of {}", regfile::name(reg))).map(drop)
}

/// Entries by the names that they have.
fn by_name<'a>(group: &[&'a RegFileEntry]) -> BTreeMap<&'a [u8], Group<'a>> {
    let mut names: BTreeMap<&[u8], Group> = BTreeMap::new();
    for reg in group {
        names.entry(&reg.name).or_default().push(reg);
    }
    names
}
