//! Opening deleted files again. All are made at the first that is asked for: so those that lay in one another do again,
//! and names exist only for a moment.

use super::super::{RestoreContext, regfile};
use super::made::{self, Made};
use super::make::Ghost;
use super::name::Places;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{RegFileEntry, RemapFilePathEntry, RemapType, StasisGhostEntry, StasisLinkEntry};
use crate::image::{ImageDir, kinds};
use crate::sys::Errno;
use crate::sys::clone::Standin;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};

/// In old images this bit of a remap's id says that it is a ghost's.
const OLD_GHOST: u32 = 1 << 31;

/// Deleted files that are being made again.
#[derive(Debug, Default)]
pub struct Restorer {
    /// By the id of the file that shows it.
    remaps: HashMap<u32, (RemapType, u32)>,
    more: HashMap<u32, StasisGhostEntry>,
    /// By the id of the file that shows the new name.
    pub(super) handles: HashMap<u32, StasisLinkEntry>,
    /// Opened and not yet asked for; none before the first is.
    opened: Option<HashMap<u32, OwnedFd>>,
    /// Names made by `--link-remap`: they have served their purpose when the tree runs.
    links: Vec<UsedLink>,
}

/// A name made by `--link-remap`, and the inode behind it.
#[derive(Debug)]
pub(super) struct UsedLink {
    pub(super) dir: OwnedFd,
    pub(super) name: Vec<u8>,
    pub(super) inode: (u64, u64),
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

/// Opens a directory of /proc about a task that has exited; `None` when the entry's file is not one. It can be entered
/// only as long as there is a stand-in: these are added to `standins`, by the pids for which they stand.
pub fn open_dead(
    reg: &RegFileEntry,
    standins: &mut HashMap<u32, Standin>,
    cx: &RestoreContext<'_>,
) -> Result<Option<OwnedFd>> {
    let Some(&(RemapType::Procfs, pid)) = cx.ghosts.remaps.get(&reg.id) else { return Ok(None) };
    let standin = match standins.entry(pid) {
        Entry::Occupied(there) => there.into_mut(),
        Entry::Vacant(none) => none.insert(made::stand_in(pid)?),
    };
    made::open_dead(reg, pid, standin, cx).map(Some)
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
        for link in images.read_all(kinds::STASIS_LINK.single())? {
            restorer.handles.insert(link.id, link);
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

    /// Whether a file has no path any more that leads to it.
    pub(in super::super) fn was_deleted(&self, id: u32) -> bool {
        self.remaps.contains_key(&id)
    }

    /// Whether a file is one of /proc about a task that has exited.
    pub(in super::super) fn is_dead(&self, id: u32) -> bool {
        matches!(self.remaps.get(&id), Some((RemapType::Procfs, _)))
    }

    /// Whether a file was opened with its position: one of /proc about a dead task, a deleted directory.
    pub(in super::super) fn has_position(&self, reg: &RegFileEntry) -> bool {
        let is_dir = reg.mode.is_some_and(|mode| mode & libc::S_IFMT == libc::S_IFDIR);
        self.is_dead(reg.id) || is_dir && self.was_deleted(reg.id)
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
pub(super) type Group<'a> = Vec<&'a RegFileEntry>;

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
    crate::fault::point("deleted directories have their names")?;
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
