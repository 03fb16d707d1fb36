//! The requests of a userfaultfd(2).

use super::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd};

const UFFD_API: u64 = 0xaa;

/// Chooses the features (UFFD_FEATURE_*), once for each descriptor.
pub fn api(fd: BorrowedFd<'_>, features: u64) -> Result<()> {
    request(fd, nix::request_code_readwrite!(0xaa, 0x3f, 24), &mut [UFFD_API, features, 0])
}

/// Registers a range; `modes` are UFFDIO_REGISTER_MODE_*. The same range with the same modes once more is fine; one of
/// another descriptor is EBUSY.
pub fn register(fd: BorrowedFd<'_>, start: u64, len: u64, modes: u32) -> Result<()> {
    request(fd, nix::request_code_readwrite!(0xaa, 0x00, 32), &mut [start, len, modes.into(), 0])
}

/// Write-protects pages of a registered range.
pub fn protect(fd: BorrowedFd<'_>, start: u64, len: u64) -> Result<()> {
    const WP: u64 = 1;
    request(fd, nix::request_code_readwrite!(0xaa, 0x06, 24), &mut [start, len, WP])
}

fn request(fd: BorrowedFd<'_>, code: libc::c_ulong, argument: &mut [u64]) -> Result<()> {
    // SAFETY: each argument is as long as the structure that its code names.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), code, argument.as_mut_ptr()) }.into()).map(drop)
}
