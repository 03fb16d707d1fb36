//! A POSIX message queue that is open: flags, owner and position survive; the queue itself belongs to the IPC namespace.

use super::eventfd::missing;
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, notice};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, StasisMqueueFileEntry};
use nix::sys::stat::SFlag;
use nix::sys::statfs::{FsType, fstatfs};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

/// See the module.
pub struct Mqueue;

/// linux/magic.h has it not: the number that the file system of the queues gives itself.
const MQUEUE_MAGIC: i64 = 0x1980_0202;

impl Kind for Mqueue {
    fn fd_type(&self) -> FdTypes {
        FdTypes::StasisMqueue
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        let file = descriptor.file_type() == SFlag::S_IFREG && !descriptor.is_path();
        file && fstatfs(&descriptor.copy).is_ok_and(|about| about.filesystem_type() == FsType(MQUEUE_MAGIC as _))
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let Some(queues) = &mut cx.queues else {
            let reason = "message queues are kept only in an IPC namespace that the tree has to itself";
            return Err(Error::unsupported(descriptor.describe(), reason).with_help(crate::ns::ADVICE));
        };
        let (queue, pos) = (queues.of(descriptor)?, descriptor.info.pos as u64);
        let mqueue = StasisMqueueFileEntry { id, queue, flags: descriptor.flags(), fown: descriptor.owner()?, pos };
        Ok(FileEntry { r#type: FdTypes::StasisMqueue as i32, id, mqueue: Some(mqueue), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(mqueue) = &entry.mqueue else { return Err(missing(entry, "message queue")) };
        let Some(fd) = cx.queues.remove(&entry.id) else {
            return Err(Error::state(format!("file {} of the images is open on a queue that they lack", entry.id)));
        };
        let pos = i64::try_from(mqueue.pos).map_err(|_| Error::state("a position in the images is impossible"))?;
        nix::unistd::lseek(&fd, pos, nix::unistd::Whence::SeekSet).doing(|| "set the position in a message queue")?;
        cx.set_owner(fd.as_fd(), &mqueue.fown)?;
        Ok(fd)
    }

    fn attach(&self, entry: &FileEntry, fd: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        entry.mqueue.iter().flat_map(|mqueue| notice(mqueue.flags, fd)).collect()
    }
}
