//! Mappings of our own.

use super::{Errno, Result, check};
use std::os::fd::OwnedFd;

/// A descriptor of new shared anonymous memory of `size` bytes: the very object that mmap(2) makes, with its name in
/// /proc/PID/maps, reached through /proc/self/map_files. `flags` may ask for huge pages.
pub fn shared_segment(size: u64, flags: i32) -> Result<OwnedFd> {
    let flags = flags | libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let null = std::ptr::null_mut();
    // SAFETY: a new mapping at an address of the kernel's choice; nothing else uses it.
    let at = unsafe { libc::mmap(null, size as usize, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    let range = format!("{:x}-{:x}", at as u64, at as u64 + size.next_multiple_of(super::page_size()));
    let open = nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_CLOEXEC;
    let fd = nix::fcntl::open(format!("/proc/self/map_files/{range}").as_str(), open, nix::sys::stat::Mode::empty());
    // SAFETY: the mapping made above, of which no reference exists.
    check(unsafe { libc::munmap(at, size as usize) }.into())?;
    fd
}
