//! A fifo opened by name: its ends, their flags and owners, the bytes in it ([`super::pipe_data`]). Its path is a file
//! of its own in the images, which may be a deleted one.

use super::{Descriptor, DumpContext, Kind, RestoreContext, eventfd::missing, ghost, regfile};
use crate::error::{Error, Result};
use crate::image::proto::{FdTypes, FifoEntry, FileEntry};
use nix::sys::stat::SFlag;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// See the module.
pub struct Fifo;

impl Kind for Fifo {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Fifo
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        descriptor.file_type() == SFlag::S_IFIFO && descriptor.link.starts_with(b"/") && !descriptor.is_path()
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let pipe_id = cx.fifos.id_of(descriptor);
        cx.fifos.take(pipe_id, descriptor)?;
        let path = cx.new_id();
        let mut reg = regfile::describe(descriptor, path)?;
        reg.fown = descriptor.owner()?;
        ghost::dump(descriptor, &mut reg, cx)?;
        let reg = FileEntry { r#type: FdTypes::Reg as i32, id: path, reg: Some(reg), ..FileEntry::default() };
        cx.more.push(reg);
        let fifo = FifoEntry { id, pipe_id, regf_id: Some(path) };
        Ok(FileEntry { r#type: FdTypes::Fifo as i32, id, fifo: Some(fifo), ..FileEntry::default() })
    }

    fn needs(&self, entry: &FileEntry) -> Vec<u32> {
        entry.fifo.iter().filter_map(|fifo| fifo.regf_id).collect()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(fifo) = &entry.fifo else { return Err(missing(entry, "fifo")) };
        let path = fifo.regf_id.unwrap_or(fifo.id);
        let reg = cx.files.get(&path).and_then(|file| file.reg.as_ref());
        let (Some(reg), Some(file)) = (reg, cx.open.get(&path).map(Arc::clone)) else {
            return Err(Error::state(format!("fifo {} of the images has no path: it names file {path}", entry.id)));
        };
        let end = cx.fifos.end_of(fifo.pipe_id, file.as_fd(), reg.flags)?;
        cx.set_owner(end.as_fd(), &reg.fown)?;
        Ok(end)
    }
}
