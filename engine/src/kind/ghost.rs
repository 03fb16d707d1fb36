//! Deleted files that are still open: small ones are copied into the images (ghosts), files that have another link
//! somewhere get a temporary name (`--link-remap`).

use super::{Descriptor, DumpContext, RestoreContext};
use crate::error::{Error, Result};
use crate::image::proto::RegFileEntry;
use std::os::fd::OwnedFd;

/// Deleted files found during a dump.
#[derive(Debug, Default)]
pub struct Ghosts {}

/// Deleted files that are being made again.
#[derive(Debug, Default)]
pub struct Restorer {}

/// Takes note of a deleted file.
pub fn dump(descriptor: &Descriptor, _reg: &mut RegFileEntry, _cx: &mut DumpContext<'_>) -> Result<()> {
    if descriptor.link.ends_with(b" (deleted)") {
        return Err(Error::unsupported(descriptor.describe(), "deleted files are not supported yet"));
    }
    Ok(())
}

/// Opens a deleted file; `None` when the entry's file is not one.
pub fn open(_reg: &RegFileEntry, _cx: &mut RestoreContext<'_>) -> Result<Option<OwnedFd>> {
    Ok(None)
}
