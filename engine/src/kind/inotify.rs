//! An inotify instance: its watches with their numbers and masks, its flags and its owner survive, also watches of
//! deleted files that are open. Events that were not read are lost, and so is the number that the next watch would have
//! had, if the watch of the highest number was removed.

use super::eventfd::missing;
use super::watched::{self, Inode, Watcher};
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, notice};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, InotifyFileEntry, InotifyWdEntry};
use crate::proc::fdinfo::Body;
use crate::proc::notify::InotifyWatch;
use crate::sys::{self, notify};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See the module.
pub struct Inotify;

/// What of a mask is repeated: older kernels show bits of their own in it.
const MASK: u32 = libc::IN_ALL_EVENTS | libc::IN_EXCL_UNLINK | libc::IN_ONESHOT;

impl Kind for Inotify {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Inotify
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        // fdinfo of one that watches nothing says nothing.
        descriptor.link == b"anon_inode:inotify"
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let watches = match &descriptor.info.body {
            Body::Inotify(watches) => watches.as_slice(),
            _ => &[],
        };
        let what = descriptor.describe();
        let queued =
            sys::file::readable_bytes(descriptor.copy.as_fd()).doing(|| format!("ask for the events of {what}"))?;
        if queued > 0 {
            let lost = format!("{what} has {queued} bytes of events that were not read: they are lost");
            cx.refusals.lose(descriptor.pid, lost);
        }
        let inode = |watch: &InotifyWatch| Inode {
            number: watch.wd,
            ino: watch.ino,
            sdev: watch.sdev,
            handle: watch.handle.clone(),
        };
        let inodes = watches.iter().map(inode).collect();
        cx.watchers.push(Watcher { id, what, pid: descriptor.pid, inodes, marks: Vec::new() });
        let mut wd: Vec<_> = watches.iter().map(|watch| entry(id, watch)).collect();
        wd.sort_by_key(|watch| watch.wd);
        let ify = InotifyFileEntry { id, flags: descriptor.flags(), fown: descriptor.owner()?, wd };
        Ok(FileEntry { r#type: FdTypes::Inotify as i32, id, ify: Some(ify), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    /// Still without watches: they come last of all.
    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(ify) = &entry.ify else { return Err(missing(entry, "inotify instance")) };
        let doing = || format!("make the inotify instance {} of the images", entry.id);
        let fd = notify::inotify().doing(doing)?;
        sys::file::set_flags(fd.as_fd(), ify.flags as i32 & !libc::O_ASYNC).doing(doing)?;
        cx.set_owner(fd.as_fd(), &ify.fown)?;
        let mut watches = Vec::with_capacity(ify.wd.len());
        for watch in &ify.wd {
            let number = i32::try_from(watch.wd).ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| Error::state(format!("watch {} of the images is none", watch.wd)))?;
            let target = watched::open_watched(entry.id, watch.wd, &watch.f_handle, watch.s_dev, cx)?;
            // One that waits for its file system to be unmounted shows no events, and none is no mask.
            let mask = Some(watch.mask & MASK).filter(|mask| *mask != 0).unwrap_or(libc::IN_UNMOUNT);
            watches.push((number, target, mask));
        }
        watches.sort_by_key(|(number, ..)| *number);
        let copy = fd.try_clone().doing(doing)?;
        cx.at_last(move || {
            watches.iter().try_for_each(|(number, target, mask)| {
                watch(copy.as_fd(), *number, target.as_fd(), *mask)
                    .doing(|| format!("set watch {number} of an inotify instance"))
                    .map_err(|e| e.with_help("is fs.inotify.max_user_watches large enough?"))
            })
        });
        Ok(fd)
    }

    fn attach(&self, entry: &FileEntry, fd: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        entry.ify.iter().flat_map(|ify| notice(ify.flags, fd)).collect()
    }
}

fn entry(id: u32, watch: &InotifyWatch) -> InotifyWdEntry {
    InotifyWdEntry {
        id,
        i_ino: watch.ino,
        mask: watch.mask,
        ignored_mask: watch.ignored_mask,
        s_dev: watch.sdev,
        wd: watch.wd,
        f_handle: watched::handle_entry(watch.handle.as_ref()),
    }
}

/// Sets a watch with its number, which is higher than those of all that the instance has.
fn watch(instance: BorrowedFd<'_>, number: i32, target: BorrowedFd<'_>, mask: u32) -> sys::Result<()> {
    /// Watches made and removed again where the kernel cannot be told the number.
    const TRIES: i32 = 1 << 16;
    let path = sys::file::path_of(target);
    let told = notify::set_next_watch(instance, number).is_ok();
    let mut tries = 0;
    loop {
        let got = notify::add_watch(instance, &path, mask)?;
        if got == number {
            break;
        }
        notify::remove_watch(instance, got)?;
        tries += 1;
        if told || got > number || tries > TRIES {
            return Err(sys::Errno::EEXIST);
        }
    }
    // Each removal was noticed.
    while tries > 0 && sys::file::readable_bytes(instance)? > 0 {
        nix::unistd::read(instance, &mut [0; 4096])?;
    }
    Ok(())
}
