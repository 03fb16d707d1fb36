//! A signalfd: the signals that it accepts, its flags and its owner survive. Signals that wait to be read are pending in
//! the tasks.

use super::eventfd::missing;
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, SignalfdEntry};
use crate::proc::fdinfo::Body;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

/// See the module.
pub struct Signalfd;

impl Kind for Signalfd {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Signalfd
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        matches!(descriptor.info.body, Body::Signalfd(_))
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, _: &mut DumpContext<'_>) -> Result<FileEntry> {
        let Body::Signalfd(sigmask) = descriptor.info.body else {
            return Err(Error::state(format!("{} is no signalfd", descriptor.describe())));
        };
        let sgfd = SignalfdEntry { id, flags: descriptor.flags(), fown: descriptor.owner()?, sigmask };
        Ok(FileEntry { r#type: FdTypes::Signalfd as i32, id, sgfd: Some(sgfd), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(sgfd) = &entry.sgfd else { return Err(missing(entry, "signalfd")) };
        let fd = crate::sys::event::signalfd(sgfd.sigmask).doing(|| "make a signalfd")?;
        crate::sys::file::set_flags(fd.as_fd(), sgfd.flags as i32).doing(|| "set flags of a signalfd")?;
        cx.set_owner(fd.as_fd(), &sgfd.fown)?;
        Ok(fd)
    }

    fn attach(&self, _: &FileEntry, _: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        Vec::new()
    }
}
