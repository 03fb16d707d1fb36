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

/// Copies bytes to `at` of a file of `size` bytes through a mapping of it.
pub fn copy_into(file: std::os::fd::BorrowedFd<'_>, size: u64, at: u64, bytes: &[u8]) -> Result<()> {
    use std::os::fd::AsRawFd;
    if at.checked_add(bytes.len() as u64).is_none_or(|end| end > size) {
        return Err(Errno::EINVAL);
    }
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let null = std::ptr::null_mut();
    // SAFETY: a new mapping at an address of the kernel's choice; nothing else uses it.
    let base = unsafe { libc::mmap(null, size as usize, prot, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if base == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: the mapping is `size` bytes long and the bytes end within it, as checked above.
    unsafe { base.cast::<u8>().add(at as usize).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    // SAFETY: the mapping made above, of which no reference exists.
    check(unsafe { libc::munmap(base, size as usize) }.into()).map(drop)
}

/// Copies bytes from `at` of a file, the beginning of a page, through a mapping of it: also what stands behind its size in
/// its last page.
pub fn copy_from(file: std::os::fd::BorrowedFd<'_>, at: u64, bytes: &mut [u8]) -> Result<()> {
    use std::os::fd::AsRawFd;
    let (null, fd) = (std::ptr::null_mut(), file.as_raw_fd());
    // SAFETY: a new mapping at an address of the kernel's choice; nothing else uses it.
    let base = unsafe { libc::mmap(null, bytes.len(), libc::PROT_READ, libc::MAP_SHARED, fd, at as libc::off_t) };
    if base == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: the mapping is as long as the buffer. All its pages but the last lie within the file, and that one in part.
    unsafe { base.cast::<u8>().copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
    // SAFETY: the mapping made above, of which no reference exists.
    check(unsafe { libc::munmap(base, bytes.len()) }.into()).map(drop)
}
