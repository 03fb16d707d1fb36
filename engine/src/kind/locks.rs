//! File locks: flock, POSIX ranges, OFD locks, leases, with their owners.

use super::{Descriptor, DumpContext};
use crate::error::{Error, Result};

/// Takes note of the locks that a descriptor holds.
pub fn dump(descriptor: &Descriptor, _cx: &mut DumpContext<'_>) -> Result<()> {
    if !descriptor.info.locks.is_empty() {
        return Err(Error::unsupported(descriptor.describe(), "file locks are not supported yet"));
    }
    Ok(())
}
