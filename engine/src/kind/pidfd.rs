//! A pidfd: of a process of the tree, also a zombie, or of one that is gone; its flags and its owner survive. One of a
//! process outside the tree, which may be another when the tree is restored, and one of a thread that is not the first
//! of its process are refused. The exit code that PIDFD_GET_INFO gives of a process that is gone is lost.

use super::eventfd::missing;
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, PidfdEntry};
use crate::proc::fdinfo::Body;
use crate::sys::Pid;
use crate::sys::pidfd::{self, Ended};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::{AsFd, OwnedFd};

/// See the module.
pub struct Pidfd;

/// PIDFD_THREAD.
const THREAD: u32 = libc::O_EXCL as u32;

impl Kind for Pidfd {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Pidfd
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        matches!(descriptor.info.body, Body::Pidfd(_))
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let Body::Pidfd(state) = &descriptor.info.body else {
            return Err(Error::state(format!("{} is no pidfd", descriptor.describe())));
        };
        let nspid = state.pid.as_raw();
        if nspid >= 0 && !cx.tree.contains(&state.pid) {
            let thread = descriptor.flags() & THREAD != 0;
            let reason = match (nspid, thread) {
                (0, _) => "it is of a process outside of the pid namespace".to_owned(),
                (_, true) => format!("it is of thread {nspid}, which is not the first of a process of the tree"),
                (_, false) => format!("it is of process {nspid}, which is outside the tree"),
            };
            return Err(
                Error::unsupported(descriptor.describe(), reason).with_help("close the descriptor before the dump")
            );
        }
        // The kernel numbers processes that are gone by the inodes of their pidfds.
        let ino = descriptor.stat.st_ino as u32;
        let pidfd = PidfdEntry { id, ino, flags: descriptor.flags(), nspid, fown: descriptor.owner()? };
        Ok(FileEntry { r#type: FdTypes::Pidfd as i32, id, pidfd: Some(pidfd), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(it) = &entry.pidfd else { return Err(missing(entry, "pidfd")) };
        let thread = it.flags & THREAD != 0;
        let doing = || format!("open the pidfd {} of the images", entry.id);
        let fd = if it.nspid < 0 {
            let ended = match cx.ended.entry(it.ino) {
                Entry::Occupied(ended) => ended.into_mut(),
                Entry::Vacant(place) => place.insert(Ended::new().doing(doing)?),
            };
            ended.open(thread).doing(doing)?
        } else {
            let pid = Pid::from_raw(it.nspid);
            if !cx.tree.contains(&pid) {
                return Err(Error::state(format!("the images hold a pidfd of process {pid}, which they lack")));
            }
            if thread { pidfd::open_thread(pid) } else { pidfd::open(pid) }.doing(doing)?
        };
        let flags = it.flags as i32 & !(THREAD as i32);
        crate::sys::file::set_flags(fd.as_fd(), flags).doing(doing)?;
        cx.set_owner(fd.as_fd(), &it.fown)?;
        Ok(fd)
    }

    fn attach(&self, _: &FileEntry, _: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        Vec::new()
    }
}
