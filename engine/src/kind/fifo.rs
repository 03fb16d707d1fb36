//! A fifo opened by name: both ends, who shares them, the bytes in it.

use super::{Descriptor, DumpContext, Kind, RestoreContext};
use crate::error::{Error, Result};
use crate::image::proto::{FdTypes, FileEntry};
use std::os::fd::OwnedFd;

/// See the module.
pub struct Fifo;

impl Kind for Fifo {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Fifo
    }

    fn claims(&self, _: &Descriptor) -> bool {
        false
    }

    fn dump(&self, descriptor: &Descriptor, _: u32, _: &mut DumpContext<'_>) -> Result<FileEntry> {
        Err(Error::unsupported(descriptor.describe(), "fifos are not supported yet"))
    }

    fn needs(&self, entry: &FileEntry) -> Vec<u32> {
        entry.fifo.iter().filter_map(|fifo| fifo.regf_id).collect()
    }

    fn restore(&self, entry: &FileEntry, _: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        Err(Error::state(format!("file {} is a fifo, which is not supported yet", entry.id)))
    }
}
