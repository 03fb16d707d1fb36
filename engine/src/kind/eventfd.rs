//! An eventfd: its counter, its semaphore mode, its flags and its owner survive. The model of a small kind.

use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, notice};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{EventfdFileEntry, FdTypes, FileEntry};
use crate::proc::fdinfo::Body;
use crate::remote::{Batch, Handle};
use crate::sys::RemoteAddr;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

/// See the module.
pub struct Eventfd;

/// Where the semaphore mode goes: CRIU's message has no field for it, so it rides in the flags as the bit with which
/// eventfd2(2) takes it. It is no O_* flag that an eventfd can have (1 is O_WRONLY, and an eventfd is O_RDWR).
const SEMAPHORE: u32 = 1;

impl Kind for Eventfd {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Eventfd
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        matches!(descriptor.info.body, Body::Eventfd(_))
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let Body::Eventfd(state) = &descriptor.info.body else {
            return Err(Error::state(format!("{} is no eventfd", descriptor.describe())));
        };
        if state.semaphore.is_none() && state.count != u64::MAX {
            cx.eventfds.push(Unsaid { id, fd: descriptor.fd, count: state.count });
        }
        let semaphore = if state.semaphore == Some(true) { SEMAPHORE } else { 0 };
        let flags = descriptor.flags() | semaphore;
        let efd = EventfdFileEntry { id, flags, fown: descriptor.owner()?, counter: state.count };
        Ok(FileEntry { r#type: FdTypes::Eventfd as i32, id, efd: Some(efd), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(efd) = &entry.efd else { return Err(missing(entry, "eventfd")) };
        let mode = if efd.flags & SEMAPHORE != 0 { EfdFlags::EFD_SEMAPHORE } else { EfdFlags::empty() };
        let fd = EventFd::from_value_and_flags(0, mode | EfdFlags::EFD_CLOEXEC).doing(|| "make an eventfd")?;
        // The kernel takes the initial value as 32 bits; the counter has 64. Writing the largest value would block.
        if efd.counter == u64::MAX {
            fd.write(u64::MAX - 1).and_then(|_| fd.write(1)).doing(|| "fill an eventfd")?;
        } else if efd.counter > 0 {
            fd.write(efd.counter).doing(|| "fill an eventfd")?;
        }
        let flags = efd.flags as i32 & !(SEMAPHORE as i32 | libc::O_ASYNC);
        crate::sys::file::set_flags(fd.as_fd(), flags).doing(|| "set flags of an eventfd")?;
        cx.set_owner(fd.as_fd(), &efd.fown)?;
        Ok(fd.into())
    }

    fn attach(&self, entry: &FileEntry, fd: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        entry.efd.iter().flat_map(|efd| notice(efd.flags & !SEMAPHORE, fd)).collect()
    }
}

/// An eventfd of which the kernel does not say whether it is a semaphore (before Linux 6.5). Only reading it tells, so
/// its task reads it and puts back what it got, all in one batch: a task that was begun with it goes through with it,
/// also when the engine dies. One that overflowed (only the kernel can do that) is taken for a counter: its count could
/// not be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsaid {
    /// The file's id in the images.
    pub id: u32,
    /// A descriptor for it in the task whose descriptors are being dumped.
    pub fd: i32,
    /// Its counter.
    count: u64,
}

/// What was asked, until the batch was run.
#[derive(Debug)]
pub struct Question {
    id: u32,
    read: Handle,
    got: RemoteAddr,
}

impl Unsaid {
    /// Calls that the question takes.
    pub const CALLS: usize = 4;
    /// Bytes of data that it takes.
    pub const DATA: usize = 96;

    /// Adds the question to a batch of the task: a semaphore gives one of two or more, a counter gives all.
    pub fn ask(&self, batch: &mut Batch) -> Question {
        const RWF_NOWAIT: u64 = 8;
        batch.must_end();
        let fd = self.fd as u64;
        let got = batch.room(8);
        let into = batch.put(&[got.0, 8].map(u64::to_ne_bytes).concat());
        let read = [fd, into.0, 1, u64::MAX, u64::MAX, RWF_NOWAIT];
        let write = |batch: &mut Batch, from: RemoteAddr| batch.try_call(libc::SYS_write, &[fd, from.0, 8]);
        if self.count >= 2 {
            let first = batch.try_call(libc::SYS_preadv2, &read);
            write(batch, got);
            return Question { id: self.id, read: first, got };
        }
        // To two, to nothing by one read or two, and to what it was.
        let add = batch.put(&(2 - self.count).to_ne_bytes());
        write(batch, add);
        let first = batch.try_call(libc::SYS_preadv2, &read);
        let rest = batch.room(8);
        let into = batch.put(&[rest.0, 8].map(u64::to_ne_bytes).concat());
        batch.try_call(libc::SYS_preadv2, &[fd, into.0, 1, u64::MAX, u64::MAX, RWF_NOWAIT]);
        if self.count > 0 {
            let count = batch.put(&self.count.to_ne_bytes());
            write(batch, count);
        }
        Question { id: self.id, read: first, got }
    }
}

impl Question {
    /// The id of the file, if it is a semaphore.
    pub fn semaphore(&self, batch: &Batch) -> Option<u32> {
        (batch.result(self.read) == Ok(8) && batch.u64_at(self.got) == 1).then_some(self.id)
    }
}

/// Notes in the message that it is of a semaphore.
pub fn set_semaphore(entry: &mut FileEntry) {
    if let Some(efd) = &mut entry.efd {
        efd.flags |= SEMAPHORE;
    }
}

/// An entry without the message that its type announces.
pub(super) fn missing(entry: &FileEntry, kind: &str) -> Error {
    Error::state(format!("file {} of the images says it is of kind {kind} and holds none", entry.id))
}
