//! An eventfd: its counter, its semaphore mode, its flags and its owner survive. The model of a small kind.

use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, notice};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{EventfdFileEntry, FdTypes, FileEntry};
use crate::proc::fdinfo::Body;
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

    fn dump(&self, descriptor: &Descriptor, id: u32, _: &mut DumpContext<'_>) -> Result<FileEntry> {
        let Body::Eventfd(state) = &descriptor.info.body else {
            return Err(Error::state(format!("{} is no eventfd", descriptor.describe())));
        };
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

/// An entry without the message that its type announces.
pub(super) fn missing(entry: &FileEntry, kind: &str) -> Error {
    Error::state(format!("file {} of the images says it is of kind {kind} and holds none", entry.id))
}
