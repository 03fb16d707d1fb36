//! An io_uring instance with nothing under way: its size, its rings at their addresses with what is in them, heads and
//! tails, registered files, buffers and eventfd survive, and so do its flags and its owner. Of the ways in which it was
//! set up the kernel shows few: what only changes when a program is told of a completion is chosen anew, and an invalid
//! submission never stops those after it (IORING_SETUP_SUBMIT_ALL). Instances that belong to one thread, have a kernel
//! thread, poll, are restricted or have buffer groups are refused, and so are those with requests under way.

mod dump;
mod restore;

use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext};
use crate::error::Result;
use crate::image::proto::{FdTypes, FileEntry};
use std::collections::HashMap;
use std::os::fd::OwnedFd;

pub use dump::{Rings, settle};
pub use restore::{register, register_buffers};

/// See the module.
pub struct IoUring;

/// Where the link of its descriptors points, and what its mappings are called.
pub const NAME: &[u8] = b"anon_inode:[io_uring]";

impl Kind for IoUring {
    fn fd_type(&self) -> FdTypes {
        FdTypes::IoUring
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        descriptor.link == NAME
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let found = dump::look(descriptor, id)?;
        cx.rings.found.push(found);
        Ok(FileEntry { r#type: FdTypes::IoUring as i32, id, ..FileEntry::default() })
    }

    /// Its files and its eventfd are registered when all are there.
    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        restore::make(entry, cx)
    }

    /// Nothing: see [`register_buffers`].
    fn attach(&self, _: &FileEntry, _: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        Vec::new()
    }
}
