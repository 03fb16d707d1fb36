//! Opening deleted files again. All are made at the first that is asked for: so those that lay in one another do again,
//! and names exist only for a moment.

use super::super::regfile::{self, TMPFILE, how};
use super::super::{RestoreContext, pipe_data::reopen, procfs};
use super::make::{Ghost, open_nameless, parent};
use super::name::{Name, Places};
use super::{LINK_REMAP, split};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{RegFileEntry, RemapFilePathEntry, RemapType, StasisGhostEntry};
use crate::image::{ImageDir, kinds};
use crate::sys::clone::Standin;
use crate::sys::{Errno, Pid};
use nix::fcntl::{AtFlags, OFlag, ResolveFlag};
use nix::sys::stat::{SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// In old images this bit of a remap's id says that it is a ghost's.
const OLD_GHOST: u32 = 1 << 31;

/// Deleted files that are being made again.
#[derive(Debug, Default)]
pub struct Restorer {
    /// By the id of the file that shows it.
    remaps: HashMap<u32, (RemapType, u32)>,
    more: HashMap<u32, StasisGhostEntry>,
    /// Opened and not yet asked for; none before the first is.
    opened: Option<HashMap<u32, OwnedFd>>,
    /// Names made by `--link-remap`: they have served their purpose when the tree runs.
    links: Vec<UsedLink>,
}

/// A name made by `--link-remap`, and the inode behind it.
#[derive(Debug)]
struct UsedLink {
    dir: OwnedFd,
    name: Vec<u8>,
    inode: (u64, u64),
}

/// Opens a deleted file; `None` when the entry's file is not one. Each is opened once.
pub fn open(reg: &RegFileEntry, cx: &mut RestoreContext<'_>) -> Result<Option<OwnedFd>> {
    if !cx.ghosts.remaps.contains_key(&reg.id) {
        return Ok(None);
    }
    if cx.ghosts.opened.is_none() {
        let (opened, links) = make_all(cx)?;
        (cx.ghosts.opened, cx.ghosts.links) = (Some(opened), links);
    }
    match cx.ghosts.opened.as_mut().and_then(|opened| opened.remove(&reg.id)) {
        Some(file) => Ok(Some(file)),
        None => Err(Error::state(format!("the deleted file {} is opened twice", regfile::name(reg)))),
    }
}

impl Restorer {
    /// Reads which files were deleted.
    pub fn load(images: &ImageDir) -> Result<Restorer> {
        let mut restorer = Restorer::default();
        for entry in images.read_all(kinds::REMAP_FPATH.single())? {
            restorer.remaps.insert(entry.orig_id, target(&entry));
        }
        for more in images.read_all(kinds::STASIS_GHOST.single())? {
            restorer.more.insert(more.id, more);
        }
        Ok(restorer)
    }

    /// Takes away the names made by `--link-remap`: to be called when nothing can fail any more.
    pub fn commit(&mut self) -> Result<()> {
        for link in self.links.drain(..) {
            let doing = || format!("remove the name {}", String::from_utf8_lossy(&link.name));
            match fstatat(&link.dir, link.name.as_slice(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) if (stat.st_dev, stat.st_ino) == link.inode => {
                    unlinkat(&link.dir, link.name.as_slice(), UnlinkatFlags::NoRemoveDir).doing(doing)?;
                }
                Ok(_) | Err(Errno::ENOENT) => {}
                Err(e) => return Err(e).doing(doing),
            }
        }
        Ok(())
    }

    /// Whether a file is one of /proc about a task that has exited.
    pub(in super::super) fn is_dead(&self, id: u32) -> bool {
        matches!(self.remaps.get(&id), Some((RemapType::Procfs, _)))
    }

    /// Closes what nobody asked for.
    pub(in super::super) fn close(&mut self) {
        self.opened = self.opened.take().map(|_| HashMap::new());
    }
}

fn target(entry: &RemapFilePathEntry) -> (RemapType, u32) {
    match entry.remap_type {
        None if entry.remap_id & OLD_GHOST != 0 => (RemapType::Ghost, entry.remap_id & !OLD_GHOST),
        _ => (entry.remap_type(), entry.remap_id),
    }
}

/// Everything that is to be opened of one inode.
type Group<'a> = Vec<&'a RegFileEntry>;

/// What the making has opened so far.
#[derive(Default)]
struct Made {
    opened: HashMap<u32, OwnedFd>,
    links: Vec<UsedLink>,
}

/// Makes all deleted files, opens them for every entry that shows them, and takes their names away.
fn make_all(cx: &RestoreContext<'_>) -> Result<(HashMap<u32, OwnedFd>, Vec<UsedLink>)> {
    let mut groups: [BTreeMap<u32, Group>; 3] = Default::default();
    let [linked, ghosts, dead] = &mut groups;
    let mut ids: Vec<_> = cx.ghosts.remaps.iter().collect();
    ids.sort_unstable_by_key(|(id, _)| **id);
    for (id, (r#type, remap)) in ids {
        let Some(reg) = cx.files.get(id).and_then(|file| file.reg.as_ref()) else {
            return Err(Error::state(format!("the images say that file {id} was deleted, and lack it")));
        };
        match r#type {
            RemapType::Linked => linked.entry(*remap).or_default().push(reg),
            RemapType::Ghost => ghosts.entry(*remap).or_default().push(reg),
            RemapType::Procfs => dead.entry(*remap).or_default().push(reg),
        }
    }
    let [linked, ghosts, dead] = groups;
    make_groups(ghosts, linked, dead, cx)
}

fn make_groups(
    ghosts: BTreeMap<u32, Group<'_>>,
    linked: BTreeMap<u32, Group<'_>>,
    dead: BTreeMap<u32, Group<'_>>,
    cx: &RestoreContext<'_>,
) -> Result<(HashMap<u32, OwnedFd>, Vec<UsedLink>)> {
    let read = |id| Ghost::read(id, cx.images, cx.ghosts.more.get(&id).cloned().unwrap_or_default());
    let mut places = Places::new(cx.root);
    let mut made = Made::default();
    let (mut directories, mut others) = (Vec::new(), Vec::new());
    for (id, group) in ghosts {
        let ghost = read(id)?;
        if ghost.kind() == SFlag::S_IFDIR { directories.push((ghost, group)) } else { others.push((id, group)) }
    }
    // The outer ones first: deleted files and directories may have been in them.
    directories.sort_by_key(|(_, group)| depth(&group[0].name));
    let mut objects = Vec::new();
    for (mut ghost, group) in directories {
        let name = ghost.name(&group[0].name, None, &mut places)?;
        made.open(&name, &group, false)?;
        let object = name.object.try_clone().doing(|| "copy a descriptor")?;
        objects.push((ghost, object));
        places.keep(name);
    }
    for (id, group) in others {
        made.ghost(read(id)?, &group, &mut places)?;
    }
    for (target, group) in linked {
        made.linked(target, &group, &mut places, cx)?;
    }
    for (pid, group) in dead {
        made.dead(pid, &group, cx)?;
    }
    places.clear()?;
    for (ghost, object) in &objects {
        ghost.dress(object.as_fd())?;
        ghost.date(object.as_fd())?;
    }
    Ok((made.opened, made.links))
}

fn depth(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count()
}

impl Made {
    /// Opens an object by one of its names for all entries of the group that have this name. Of a fifo only the path is
    /// opened: everything else could block.
    fn open(&mut self, name: &Name, group: &[&RegFileEntry], fifo: bool) -> Result<()> {
        for reg in group {
            let flags = if fifo { how(reg) & OFlag::O_CLOEXEC | OFlag::O_PATH } else { how(reg) };
            let file = name.open(flags).doing(|| format!("open the deleted file {}", regfile::name(reg)))?;
            self.opened.insert(reg.id, file);
        }
        Ok(())
    }

    /// Makes a ghost that is no directory.
    fn ghost(&mut self, mut ghost: Ghost, group: &[&RegFileEntry], places: &mut Places<'_>) -> Result<()> {
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
                Some(first) => {
                    places.put(path, false, |dir, name| super::links::link(first.object.as_fd(), dir, name))?
                }
            };
            self.open(&name, &group, ghost.kind() == SFlag::S_IFIFO)?;
            names.push(name);
        }
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
    fn linked(
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
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let object = regfile::open_below(cx.root, &link.name, flags, resolve)
            .doing(doing)
            .map_err(|e| e.with_help("this name was made by --link-remap at the dump, and a restore takes it away"))?;
        regfile::check(link, object.as_fd(), cx)?;
        let stat = fstat(&object).doing(doing)?;
        let fifo = stat.st_mode & libc::S_IFMT == libc::S_IFIFO;
        for (path, group) in by_name(group) {
            let name = places.put(path, false, |dir, name| super::links::link(object.as_fd(), dir, name))?;
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

impl Made {
    /// Opens files of /proc about a task that has exited, while another process has its pid.
    fn dead(&mut self, pid: u32, group: &[&RegFileEntry], cx: &RestoreContext<'_>) -> Result<()> {
        let pid = Pid::from_raw(pid as i32);
        let doing = || format!("start a process in the place of {pid}, which had exited");
        let standin = match Standin::new(Some(pid)) {
            Err(Errno::EEXIST) => {
                tracing::warn!("pid {pid} is taken: open files of /proc about the dead task of that pid get another");
                Standin::new(None)
            }
            other => other,
        };
        let standin = standin.doing(doing)?;
        for reg in group {
            let path = procfs::about(&reg.name, pid, standin.pid());
            let file = regfile::open_below(cx.root, &path, how(reg), ResolveFlag::RESOLVE_IN_ROOT)
                .doing(|| format!("open {}", regfile::name(reg)))?;
            if reg.pos != 0 && reg.flags & libc::O_PATH as u32 == 0 {
                let position = nix::unistd::lseek(&file, reg.pos as i64, nix::unistd::Whence::SeekSet);
                position.doing(|| format!("set the position of {}", regfile::name(reg)))?;
            }
            self.opened.insert(reg.id, file);
        }
        standin.end().doing(doing)
    }
}

/// Entries by the names that they have.
fn by_name<'a>(group: &[&'a RegFileEntry]) -> BTreeMap<&'a [u8], Group<'a>> {
    let mut names: BTreeMap<&[u8], Group> = BTreeMap::new();
    for reg in group {
        names.entry(&reg.name).or_default().push(reg);
    }
    names
}
