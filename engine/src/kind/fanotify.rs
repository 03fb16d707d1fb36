//! A fanotify group: its class and flags, its marks on inodes, mounts, file systems and the mount namespace with what they
//! ask for and ignore, and its owner survive. Events that were not read are lost. A group that decides about accesses is
//! refused while an event waits in it, and where it decides about a whole mount or file system: nobody could open a file
//! there while it is frozen, nor could the dump.

use super::eventfd::missing;
use super::watched::{self, Finder, Inode, Watcher};
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, notice, regfile};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{
    FanotifyFileEntry, FanotifyInodeMarkEntry, FanotifyMarkEntry, FanotifyMountMarkEntry, FdTypes, FileEntry, MarkType,
    StasisMark,
};
use crate::proc::fdinfo::{Body, FdInfo};
use crate::proc::notify::{Fanotify as State, FanotifyMark, MarkTarget};
use crate::proc::{ProcDir, mountinfo};
use crate::refusals::Refusals;
use crate::sys::{self, Pid, notify};
use nix::fcntl::{OFlag, ResolveFlag};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// See the module.
pub struct Fanotify;

/// Classes whose events may ask for permission.
const DECIDES: u32 = libc::FAN_CLASS_CONTENT | libc::FAN_CLASS_PRE_CONTENT;
/// FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM, FAN_PRE_ACCESS (Linux 6.14).
const PERMISSIONS: u32 = 0x17_0000;
/// FAN_MARK_FILESYSTEM.
const FILE_SYSTEM: u32 = 0x100;
/// FAN_MARK_MNTNS (Linux 6.15).
const NAMESPACE: u32 = 0x110;
/// FAN_MARK_EVICTABLE (Linux 5.19).
const EVICTABLE: u32 = 0x200;
/// FAN_MARK_IGNORE (Linux 6.0).
const IGNORE: u32 = 0x400;
/// Where the mount namespace of a thread is.
const OWN_NAMESPACE: &CStr = c"/proc/thread-self/ns/mnt";

impl Kind for Fanotify {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Fanotify
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        matches!(descriptor.info.body, Body::Fanotify(_))
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let what = descriptor.describe();
        let Body::Fanotify(state) = &descriptor.info.body else {
            return Err(Error::state(format!("{what} is no fanotify group")));
        };
        check_queue(descriptor, state, &mut cx.refusals)?;
        let finder = cx.finder()?;
        let (mut mark, mut inodes, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        for one in &state.marks {
            match &one.target {
                MarkTarget::Inode { ino, sdev, handle } => {
                    inodes.push(Inode { number: mark.len() as u32, ino: *ino, sdev: *sdev, handle: handle.clone() });
                    mark.push(entry(id, one));
                }
                MarkTarget::Mount(_) => {
                    let entry = entry(id, one);
                    let mount = entry.me.as_ref().map_or(0, |me| me.mnt_id as i32);
                    let path = finder.mount(mount).ok_or_else(|| lost(&what, &format!("mount {mount}")))?;
                    let me = FanotifyMountMarkEntry { mnt_id: mount as u32, path: Some(path.to_vec()) };
                    mark.push(FanotifyMarkEntry { me: Some(me), ..entry });
                }
                other => marks.push(special(other, one, finder, &what)?),
            }
        }
        cx.watchers.push(Watcher { id, what, pid: descriptor.pid, inodes, marks });
        let ffy = FanotifyFileEntry {
            id,
            flags: descriptor.flags(),
            fown: descriptor.owner()?,
            faflags: state.flags,
            evflags: state.event_flags,
            mark,
        };
        Ok(FileEntry { r#type: FdTypes::Fanotify as i32, id, ffy: Some(ffy), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    /// Still without marks: they come last of all.
    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(ffy) = &entry.ffy else { return Err(missing(entry, "fanotify group")) };
        let doing = || format!("make the fanotify group {} of the images", entry.id);
        let fd = notify::fanotify(ffy.faflags, ffy.evflags)
            .doing(doing)
            .map_err(|e| e.with_help("it needs CAP_SYS_ADMIN, and a kernel as new as that of the dump"))?;
        sys::file::set_flags(fd.as_fd(), ffy.flags as i32 & !libc::O_ASYNC).doing(doing)?;
        cx.set_owner(fd.as_fd(), &ffy.fown)?;
        let mut marks = Vec::new();
        for (number, mark) in ffy.mark.iter().enumerate() {
            marks.push(Mark::of_entry(entry.id, number as u32, mark, cx)?);
        }
        let more = cx.extras.get(&entry.id).map(|more| more.marks.clone()).unwrap_or_default();
        for mark in &more {
            marks.push(Mark::special(mark, cx)?);
        }
        let copy = fd.try_clone().doing(doing)?;
        cx.at_last(move || {
            marks.iter().try_for_each(|mark| mark.set(copy.as_fd()).doing(|| "set a mark of a fanotify group"))
        });
        Ok(fd)
    }

    fn attach(&self, entry: &FileEntry, fd: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        entry.ffy.iter().flat_map(|ffy| notice(ffy.flags, fd)).collect()
    }
}

/// Refuses a group for whose decisions the dump would have to wait: to be called before any file of the tree is opened.
pub fn check(pid: Pid, fd: i32, info: &FdInfo) -> Result<()> {
    let Body::Fanotify(state) = &info.body else { return Ok(()) };
    let wide = |mark: &&FanotifyMark| !matches!(mark.target, MarkTarget::Inode { .. }) && mark.mask & PERMISSIONS != 0;
    if state.marks.iter().find(wide).is_none() {
        return Ok(());
    }
    let reason = "it decides about every access to a mount or a file system, which stops while it is frozen";
    Err(Error::unsupported(format!("task {pid}: descriptor {fd} (anon_inode:[fanotify])"), reason)
        .with_help("remove the mark before the dump"))
}

fn check_queue(descriptor: &Descriptor, state: &State, refusals: &mut Refusals) -> Result<()> {
    let what = descriptor.describe();
    let queued =
        sys::file::readable_bytes(descriptor.copy.as_fd()).doing(|| format!("ask for the events of {what}"))?;
    if queued == 0 {
        return Ok(());
    }
    if state.flags & DECIDES != 0 {
        return Err(Error::unsupported(what, "events wait in it, and somebody may wait for its decision")
            .with_help("dump again when it has read and answered its events"));
    }
    let lost = format!("{what} has {queued} bytes of events that were not read: they are lost");
    refusals.lose(descriptor.pid, lost);
    Ok(())
}

fn lost(what: &str, object: &str) -> Error {
    Error::unsupported(what, format!("it watches {object}, to which no path leads"))
        .with_help("remove the mark before the dump")
}

/// The message of a mark that CRIU's has a type for.
fn entry(id: u32, mark: &FanotifyMark) -> FanotifyMarkEntry {
    let (r#type, s_dev, ie, me) = match &mark.target {
        MarkTarget::Inode { ino, sdev, handle } => {
            let f_handle = watched::handle_entry(handle.as_ref());
            (MarkType::Inode, *sdev, Some(FanotifyInodeMarkEntry { i_ino: *ino, f_handle }), None)
        }
        MarkTarget::Mount(mnt_id) => {
            (MarkType::Mount, 0, None, Some(FanotifyMountMarkEntry { mnt_id: *mnt_id, path: None }))
        }
        _ => (MarkType::Mount, 0, None, None),
    };
    FanotifyMarkEntry {
        id,
        r#type: r#type as i32,
        mflags: mark.flags,
        mask: mark.mask,
        ignored_mask: mark.ignored_mask,
        s_dev,
        ie,
        me,
    }
}

/// The message of another mark.
fn special(target: &MarkTarget, mark: &FanotifyMark, finder: &Finder, what: &str) -> Result<StasisMark> {
    let (on, path) = match target {
        MarkTarget::FileSystem(sdev) => {
            let (major, minor) = crate::proc::fdinfo::kernel_dev(*sdev);
            let path = finder.file_system(*sdev);
            let path = path.ok_or_else(|| lost(what, &format!("the file system of device {major}:{minor}")))?;
            (FILE_SYSTEM, Some(path.to_vec()))
        }
        MarkTarget::MountNamespace(inode) => {
            let own = std::fs::metadata("/proc/thread-self/ns/mnt").doing(|| "look at the mount namespace")?;
            if own.ino() != *inode {
                return Err(lost(what, &format!("mount namespace {inode}")));
            }
            (NAMESPACE, None)
        }
        _ => return Err(Error::state(format!("{what} has a mark of another kind"))),
    };
    Ok(StasisMark { on, mflags: mark.flags, mask: mark.mask, ignored_mask: mark.ignored_mask, path })
}

/// A mark to be set.
struct Mark {
    /// None for the mount namespace.
    target: Option<Arc<OwnedFd>>,
    /// FAN_MARK_INODE and the like.
    on: u32,
    flags: u32,
    mask: u32,
    ignored: u32,
}

impl Mark {
    fn of_entry(id: u32, number: u32, mark: &FanotifyMarkEntry, cx: &mut RestoreContext<'_>) -> Result<Mark> {
        let (on, target) = match (&mark.ie, &mark.me) {
            (Some(ie), _) if mark.r#type() == MarkType::Inode => {
                (libc::FAN_MARK_INODE, watched::open_watched(id, number, &ie.f_handle, mark.s_dev, cx)?)
            }
            (_, Some(me)) if mark.r#type() == MarkType::Mount => (libc::FAN_MARK_MOUNT, open_mount(me, cx)?),
            _ => return Err(Error::state(format!("a mark of the fanotify group {id} of the images is on nothing"))),
        };
        Ok(Mark { target: Some(target), on, flags: mark.mflags, mask: mark.mask, ignored: mark.ignored_mask })
    }

    fn special(mark: &StasisMark, cx: &RestoreContext<'_>) -> Result<Mark> {
        let target = mark.path.as_ref().map(|path| open(path, cx)).transpose()?;
        if !matches!((mark.on, &target), (FILE_SYSTEM, Some(_)) | (NAMESPACE, None)) {
            return Err(Error::state("a mark of a fanotify group in the images is on nothing"));
        }
        Ok(Mark { target, on: mark.on, flags: mark.mflags, mask: mark.mask, ignored: mark.ignored_mask })
    }

    /// What it asks for and what it ignores are told one after the other.
    fn set(&self, group: BorrowedFd<'_>) -> sys::Result<()> {
        let path = match &self.target {
            Some(target) => sys::file::path_of(target.as_fd()),
            None => CString::from(OWN_NAMESPACE),
        };
        let how = libc::FAN_MARK_ADD | self.on | self.flags & EVICTABLE;
        if self.mask != 0 {
            notify::mark(group, how, self.mask.into(), &path)?;
        }
        if self.ignored != 0 {
            let kind = if self.flags & IGNORE != 0 { IGNORE } else { libc::FAN_MARK_IGNORED_MASK };
            let how = how | kind | self.flags & libc::FAN_MARK_IGNORED_SURV_MODIFY;
            notify::mark(group, how, self.ignored.into(), &path)?;
        }
        Ok(())
    }
}

fn open(path: &[u8], cx: &RestoreContext<'_>) -> Result<Arc<OwnedFd>> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let found = regfile::open_below(cx.root, path, flags, ResolveFlag::RESOLVE_IN_ROOT);
    found.doing(|| format!("open {}, which is watched", String::from_utf8_lossy(path))).map(Arc::new)
}

/// Opens the place where a mount must still be.
fn open_mount(me: &FanotifyMountMarkEntry, cx: &RestoreContext<'_>) -> Result<Arc<OwnedFd>> {
    let Some(path) = &me.path else {
        return Err(Error::state(format!("the images do not say where mount {}, which is watched, was", me.mnt_id)));
    };
    let found = open(path, cx)?;
    let id = sys::file::mount_id(found.as_fd()).doing(|| "ask for a mount")?;
    let mounts = mountinfo::read(&ProcDir::current()?, &mut Vec::new())?;
    let here = mounts.iter().find(|mount| mount.id == id);
    if cx.options.root.is_none() && here.is_none_or(|mount| mount.mountpoint != *path) {
        let what = format!("nothing is mounted on {}, which is watched as a mount", String::from_utf8_lossy(path));
        return Err(Error::state(what).with_help("mount it as it was when the process was dumped"));
    }
    Ok(found)
}
