//! What inotify and fanotify descriptors watch. The kernel tells an inode and its handle; the dump finds a path by it, and
//! the inode becomes a file of the images like one that is open: by its path, or as a deleted file that a process of the
//! tree still has. Watches are set when all else is restored, so that the restore itself is not noticed.

use super::{Descriptor, DumpContext, RestoreContext, ghost, regfile};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FhEntry, FhEntrySizes, FileEntry, StasisFileEntry, StasisMark, StasisWatched};
use crate::proc::fdinfo::{Body, FdInfo, kernel_dev};
use crate::proc::mountinfo::Mount;
use crate::proc::notify::FileHandle;
use crate::proc::{ProcDir, mountinfo};
use crate::sys::handle::Handle;
use crate::sys::{self, Errno, Pid};
use nix::fcntl::{OFlag, ResolveFlag, open};
use nix::sys::stat::{Mode, fstat, lstat};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// O_PATH of the object itself, close-on-exec.
const PATH: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// How many names are looked at for an inode that its handle does not lead to.
const NAMES: usize = 1 << 19;

/// An inode that is watched.
#[derive(Debug, Clone)]
pub struct Inode {
    /// The watch's number, or the mark's place.
    pub number: u32,
    /// The inode's number.
    pub ino: u64,
    /// The device of its file system, see [`kernel_dev`].
    pub sdev: u32,
    /// Its handle, if the file system has such things.
    pub handle: Option<FileHandle>,
}

/// A descriptor that watches inodes, to be found when all files of the tree are known.
#[derive(Debug)]
pub struct Watcher {
    /// Its file id.
    pub id: u32,
    /// The descriptor in words.
    pub what: String,
    /// A task that has it.
    pub pid: Pid,
    /// What it watches.
    pub inodes: Vec<Inode>,
    /// Its marks on other things than inodes.
    pub marks: Vec<StasisMark>,
}

/// The mounts on which inodes are found, and what was found.
pub struct Finder {
    mounts: Vec<(Mount, OwnedFd)>,
    known: HashMap<(u32, u64), u32>,
}

impl Finder {
    /// The mounts to which their paths lead.
    pub fn new() -> Result<Finder> {
        let mounts = mountinfo::read(&ProcDir::current()?, &mut Vec::new())?;
        let reached = |mount: Mount| {
            let point = open_path(&mount.mountpoint).ok()?;
            (sys::file::mount_id(point.as_fd()) == Ok(mount.id)).then_some((mount, point))
        };
        Ok(Finder { mounts: mounts.into_iter().filter_map(reached).collect(), known: HashMap::new() })
    }

    /// Where a mount is mounted; `None` if no path leads to it.
    pub fn mount(&self, id: i32) -> Option<&[u8]> {
        self.mounts.iter().find(|(mount, _)| mount.id == id).map(|(mount, _)| mount.mountpoint.as_slice())
    }

    /// A mount of a file system.
    pub fn file_system(&self, sdev: u32) -> Option<&[u8]> {
        self.of(sdev).next().map(|(mount, _)| mount.mountpoint.as_slice())
    }

    fn of(&self, sdev: u32) -> impl Iterator<Item = &(Mount, OwnedFd)> {
        self.mounts.iter().filter(move |(mount, _)| mount.dev == kernel_dev(sdev))
    }

    /// Adds the files that a descriptor watches to `entries`, and notes them beside its own entry.
    pub fn find(&mut self, watcher: Watcher, entries: &mut Vec<FileEntry>, cx: &mut DumpContext<'_>) -> Result<()> {
        let mut watched = Vec::with_capacity(watcher.inodes.len());
        for inode in &watcher.inodes {
            let key = (inode.sdev, inode.ino);
            let file = match self.known.get(&key) {
                Some(&file) => file,
                None => {
                    let entry = self.file(inode, &watcher, cx)?;
                    let file = entry.id;
                    self.known.insert(key, file);
                    entries.push(entry);
                    file
                }
            };
            watched.push(StasisWatched { file, number: inode.number });
        }
        if !watched.is_empty() || !watcher.marks.is_empty() {
            cx.extras.push(StasisFileEntry {
                id: watcher.id,
                watched,
                marks: watcher.marks,
                ..StasisFileEntry::default()
            });
        }
        Ok(())
    }

    fn file(&self, inode: &Inode, watcher: &Watcher, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let descriptor = match self.by_handle(inode, watcher)? {
            Some(found) => found,
            None => self.by_name(inode, watcher)?,
        };
        let stat = &descriptor.stat;
        if is_deleted(&descriptor) && !cx.ghosts.knows(stat) {
            let reason = format!("it watches {}, which no process of the tree has open", show(&descriptor.link));
            return Err(Error::unsupported(watcher.what.clone(), reason).with_help("remove the watch before the dump"));
        }
        let id = cx.new_id();
        regfile::dump_watched(&descriptor, id, cx)
            .map_err(|e| e.with_help(format!("it is watched by {}", watcher.what)))
    }

    /// By its handle, whatever its names; `None` where that leads nowhere, or to no path.
    fn by_handle(&self, inode: &Inode, watcher: &Watcher) -> Result<Option<Descriptor>> {
        let Some(handle) = &inode.handle else { return Ok(None) };
        let handle = Handle { kind: handle.kind, bytes: handle.bytes.clone() };
        let mut deleted = None;
        for (_, point) in self.of(inode.sdev) {
            match handle.open(point.as_fd()) {
                Ok(found) => {
                    let found = describe(found, watcher)?;
                    if leads_back(&found) {
                        return Ok(Some(found));
                    }
                    if is_deleted(&found) {
                        deleted = Some(found);
                    }
                }
                // A handle that only names, a file system that finds nothing by handles, a file that is a mount.
                Err(Errno::ESTALE | Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOTDIR) => {}
                Err(e) => return Err(e).doing(|| format!("find what {} watches", watcher.what)),
            }
        }
        Ok(deleted)
    }

    /// By looking through the file system for a name of the inode.
    fn by_name(&self, inode: &Inode, watcher: &Watcher) -> Result<Descriptor> {
        let mut left = NAMES;
        for (mount, _) in self.of(inode.sdev) {
            let mut dirs = vec![PathBuf::from(OsStr::from_bytes(&mount.mountpoint))];
            if let Some(found) = is_it(&dirs[0], inode) {
                return describe(found, watcher);
            }
            while let Some(dir) = dirs.pop() {
                if left == 0 {
                    break;
                }
                // What vanishes or may not be read is not it.
                let Ok(names) = std::fs::read_dir(&dir) else { continue };
                for name in names.flatten() {
                    if name.ino() == inode.ino
                        && let Some(found) = is_it(&name.path(), inode)
                    {
                        return describe(found, watcher);
                    }
                    left = left.saturating_sub(1);
                    if name.file_type().is_ok_and(|kind| kind.is_dir()) && is_on(&name.path(), inode.sdev) {
                        dirs.push(name.path());
                    }
                }
            }
        }
        let (major, minor) = kernel_dev(inode.sdev);
        let reason = format!("it watches inode {} of device {major}:{minor}, to which no path was found", inode.ino);
        Err(Error::unsupported(watcher.what.clone(), reason).with_help("remove the watch before the dump"))
    }
}

/// Opens a path if it leads to the inode. Where the kernel gives names of inodes for comparison (Linux 6.5), these decide.
fn is_it(path: &Path, inode: &Inode) -> Option<OwnedFd> {
    let found = open_path(path.as_os_str().as_bytes()).ok()?;
    let same = match (&inode.handle, Handle::name_of(found.as_fd())) {
        (Some(handle), Ok(name)) => (handle.kind, &handle.bytes) == (name.kind, &name.bytes),
        _ => fstat(&found).is_ok_and(|stat| stat.st_ino == inode.ino) && is_on(path, inode.sdev),
    };
    same.then_some(found)
}

fn is_on(path: &Path, sdev: u32) -> bool {
    let (major, minor) = kernel_dev(sdev);
    lstat(path).is_ok_and(|stat| stat.st_dev == nix::sys::stat::makedev(major.into(), minor.into()))
}

fn open_path(path: &[u8]) -> sys::Result<OwnedFd> {
    open(path, PATH, Mode::empty())
}

fn describe(copy: OwnedFd, watcher: &Watcher) -> Result<Descriptor> {
    let doing = || format!("look at what {} watches", watcher.what);
    let link = nix::fcntl::readlink(sys::file::path_of(copy.as_fd()).as_c_str()).doing(doing)?.into_vec();
    let stat = fstat(&copy).doing(doing)?;
    let info = FdInfo {
        pos: 0,
        flags: libc::O_PATH as u32,
        mnt_id: -1,
        ino: None,
        locks: Vec::new(),
        body: Body::None,
        other: Vec::new(),
    };
    Ok(Descriptor { pid: watcher.pid, fd: super::NO_NUMBER, queue: None, link, stat, info, copy })
}

fn leads_back(found: &Descriptor) -> bool {
    let same = |stat: nix::sys::stat::FileStat| (stat.st_dev, stat.st_ino) == (found.stat.st_dev, found.stat.st_ino);
    lstat(found.link.as_slice()).is_ok_and(same)
}

fn is_deleted(found: &Descriptor) -> bool {
    found.link.ends_with(ghost::DELETED) && !leads_back(found)
}

fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// The message of a handle: its bytes in words as they are in memory, and zeros up to the words that the format wants.
pub fn handle_entry(handle: Option<&FileHandle>) -> FhEntry {
    let Some(handle) = handle else { return FhEntry::default() };
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_ne_bytes(word)
    };
    let mut words: Vec<u64> = handle.bytes.chunks(8).map(word).collect();
    words.resize(words.len().max(FhEntrySizes::MinEntries as usize), 0);
    FhEntry { bytes: handle.bytes.len() as u32, r#type: handle.kind as u32, handle: words, path: None, mnt_id: None }
}

/// Opens what the descriptor `id` watches by `number`: the file that our images say, or what the handle leads to.
pub fn open_watched(
    id: u32,
    number: u32,
    fh: &FhEntry,
    sdev: u32,
    cx: &mut RestoreContext<'_>,
) -> Result<Arc<OwnedFd>> {
    let noted = cx.extras.get(&id).and_then(|more| more.watched.iter().find(|one| one.number == number));
    let Some(file) = noted.map(|one| one.file) else { return by_entry(id, fh, sdev, cx).map(Arc::new) };
    if let Some(open) = cx.targets.get(&file) {
        return Ok(Arc::clone(open));
    }
    let Some(reg) = cx.files.get(&file).and_then(|entry| entry.reg.as_ref()) else {
        return Err(Error::state(format!("file {id} of the images watches file {file}, which they lack")));
    };
    let open = Arc::new(regfile::open(reg, cx)?);
    cx.targets.insert(file, Arc::clone(&open));
    Ok(open)
}

/// What CRIU's images say: a path, or a handle alone.
fn by_entry(id: u32, fh: &FhEntry, sdev: u32, cx: &RestoreContext<'_>) -> Result<OwnedFd> {
    if let Some(path) = &fh.path {
        let found = regfile::open_below(cx.root, path, PATH, ResolveFlag::RESOLVE_IN_ROOT);
        return found.doing(|| format!("open {}, which is watched", show(path)));
    }
    let bytes: Vec<u8> = fh.handle.iter().flat_map(|word| word.to_ne_bytes()).take(fh.bytes as usize).collect();
    let handle = Handle { kind: fh.r#type as i32, bytes };
    let finder = Finder::new()?;
    let found = finder.of(sdev).find_map(|(_, point)| handle.open(point.as_fd()).ok());
    found.ok_or_else(|| {
        Error::state(format!("what file {id} of the images watches is not there any more: they have only a handle"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_go_into_words_and_back() {
        let handle = FileHandle { kind: 0x81, bytes: (1..=12).collect() };
        let entry = handle_entry(Some(&handle));
        assert_eq!((entry.bytes, entry.r#type, entry.handle.len()), (12, 0x81, 16));
        let back: Vec<u8> = entry.handle.iter().flat_map(|word| word.to_ne_bytes()).take(12).collect();
        assert_eq!(back, handle.bytes);
        assert_eq!(handle_entry(None), FhEntry::default());
    }

    #[test]
    fn an_inode_is_found_by_its_handle_and_by_looking_for_it() {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let file = open_path(path.as_os_str().as_bytes()).unwrap();
        let (stat, handle) = (fstat(&file).unwrap(), Handle::of(file.as_fd()).unwrap());
        let (major, minor) = (nix::sys::stat::major(stat.st_dev), nix::sys::stat::minor(stat.st_dev));
        let inode = Inode {
            number: 1,
            ino: stat.st_ino,
            sdev: (major << 20 | minor) as u32,
            handle: Some(FileHandle { kind: handle.kind, bytes: handle.bytes }),
        };
        let watcher = Watcher { id: 1, what: "a test".into(), pid: Pid::this(), inodes: vec![], marks: vec![] };
        let finder = Finder::new().unwrap();
        let found = finder.by_handle(&inode, &watcher).unwrap().unwrap();
        assert_eq!(found.link, path.as_os_str().as_bytes());
        assert_eq!(finder.by_name(&inode, &watcher).unwrap().link, found.link);
        let gone = Inode { handle: Some(FileHandle { kind: 1, bytes: vec![0xee; 12] }), ..inode };
        assert!(finder.by_handle(&gone, &watcher).unwrap().is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(finder.by_name(&gone, &watcher).unwrap_err().to_string().contains("no path"));
    }
}
