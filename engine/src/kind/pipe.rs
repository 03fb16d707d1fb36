//! A pipe: its two ends, who shares them, their flags. What is in it is in [`super::pipe_data`].

use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, eventfd::missing, notice};
use crate::error::Result;
use crate::image::proto::{FdTypes, FileEntry, PipeEntry};
use crate::options::InheritKey;
use nix::sys::stat::SFlag;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

/// See the module.
pub struct Pipe;

impl Kind for Pipe {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Pipe
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        descriptor.file_type() == SFlag::S_IFIFO && descriptor.link.starts_with(b"pipe:[") && !descriptor.is_path()
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let pipe_id = cx.pipes.id_of(descriptor);
        cx.pipes.take(pipe_id, descriptor)?;
        let pipe = PipeEntry { id, pipe_id, flags: descriptor.flags(), fown: descriptor.owner()? };
        Ok(FileEntry { r#type: FdTypes::Pipe as i32, id, pipe: Some(pipe), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(pipe) = &entry.pipe else { return Err(missing(entry, "pipe")) };
        if let Some(fd) = cx.inherited(|key| *key == InheritKey::Pipe { inode: u64::from(pipe.pipe_id) })? {
            return Ok(fd);
        }
        let end = cx.pipes.end(pipe.pipe_id, pipe.flags)?;
        cx.set_owner(end.as_fd(), &pipe.fown)?;
        Ok(end)
    }

    fn attach(&self, entry: &FileEntry, fd: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        entry.pipe.iter().flat_map(|pipe| notice(pipe.flags, fd)).collect()
    }
}
