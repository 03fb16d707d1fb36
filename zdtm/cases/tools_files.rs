//! Open files: what the kernel says about a descriptor, reading and writing exactly, locks, attributes.

use crate::gate::{Verdict, check_eq, fail};
use nix::errno::Errno;
use nix::unistd::{Pid, Whence, lseek};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A descriptor from a raw call's result.
pub fn owned(result: i64) -> Verdict<OwnedFd> {
    let fd = RawFd::try_from(Errno::result(result)?)?;
    // SAFETY: the kernel has just made it for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The `fcntl` command for the signal of asynchronous notice.
pub const F_SETSIG: i32 = 10;
/// The command that asks for it.
pub const F_GETSIG: i32 = 11;

/// An `fcntl` with an integer argument.
pub fn fcntl(fd: &impl AsRawFd, command: i32, value: i32) -> Result<i32, Errno> {
    // SAFETY: only commands with integer arguments are passed.
    Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), command, value) })
}

/// The flags of the open file description (F_GETFL).
pub fn flags(fd: &impl AsRawFd) -> Result<i32, Errno> {
    fcntl(fd, libc::F_GETFL, 0)
}

/// The position of a descriptor.
pub fn position(fd: &impl AsFd) -> Result<i64, Errno> {
    lseek(fd, 0, Whence::SeekCur)
}

/// Closes a forked child's copy of a descriptor whose owner is the parent's: a child exits without dropping it.
pub fn close_in_child(fd: &impl AsRawFd) {
    // SAFETY: the child makes no more use of it.
    unsafe { libc::close(fd.as_raw_fd()) };
}

/// One read of at most `size` bytes: what came, or the error. An interrupted call is not repeated.
pub fn read_once(fd: &impl AsFd, size: usize) -> Result<Vec<u8>, Errno> {
    let mut data = vec![0; size];
    let got = nix::unistd::read(fd, &mut data)?;
    data.truncate(got);
    Ok(data)
}

/// Writes all bytes with one call.
pub fn write_once(fd: &impl AsFd, data: &[u8]) -> Verdict {
    check_eq("the bytes written", nix::unistd::write(fd, data)?, data.len())
}

/// What `/proc/self/fd/N` points to.
pub fn target(fd: &impl AsRawFd) -> Verdict<PathBuf> {
    Ok(std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?)
}

/// A field of `/proc/self/fdinfo/N`.
pub fn fdinfo(fd: &impl AsRawFd, name: &str) -> Verdict<String> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    match text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')) {
        Some(value) => Ok(value.trim().to_owned()),
        None => fail(format!("fdinfo has no {name}")),
    }
}

/// Whether descriptor `a` of this task and descriptor `b` of `task` are one open file description (kcmp(2)).
pub fn same_description(a: &impl AsRawFd, task: Pid, b: RawFd) -> Verdict<bool> {
    const KCMP_FILE: usize = 0;
    let me = nix::unistd::getpid().as_raw();
    // SAFETY: kcmp takes integers only.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, me, task.as_raw(), KCMP_FILE, a.as_raw_fd(), b) };
    Ok(Errno::result(order)? == 0)
}

/// The status of the file behind a descriptor.
pub fn stat(fd: &impl AsFd) -> Result<nix::sys::stat::FileStat, Errno> {
    nix::sys::stat::fstat(fd)
}

/// A record lock call (`F_SETLK`, `F_OFD_GETLK`, …) on `len` bytes from `start`; returns what the kernel filled in.
pub fn record_lock(fd: &impl AsRawFd, command: i32, kind: i32, start: i64, len: i64) -> Result<libc::flock, Errno> {
    // SAFETY: all-zero is a valid flock structure.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start;
    lock.l_len = len;
    // SAFETY: the structure outlives the call.
    Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), command, &raw mut lock) })?;
    Ok(lock)
}

/// A flock(2) call.
pub fn flock(fd: &impl AsRawFd, operation: i32) -> Result<(), Errno> {
    // SAFETY: integers only.
    Errno::result(unsafe { libc::flock(fd.as_raw_fd(), operation) }).map(drop)
}

/// Sets an extended attribute.
pub fn set_attribute(fd: &impl AsRawFd, name: &str, value: &[u8]) -> Verdict {
    let name = CString::new(name)?;
    let (at, len) = (value.as_ptr().cast(), value.len());
    // SAFETY: name and value outlive the call.
    Errno::result(unsafe { libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), at, len, 0) })?;
    Ok(())
}

/// The value of an extended attribute.
pub fn attribute(fd: &impl AsRawFd, name: &str) -> Verdict<Vec<u8>> {
    let name = CString::new(name)?;
    let mut value = vec![0u8; 1024];
    // SAFETY: the buffer has the length given.
    let got = Errno::result(unsafe {
        libc::fgetxattr(fd.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    })?;
    value.truncate(usize::try_from(got)?);
    Ok(value)
}

/// The bit of chattr(1)'s `+i`.
pub const IMMUTABLE: i64 = 0x10;
/// The bit of `+a`.
pub const APPEND_ONLY: i64 = 0x20;

/// Sets one of those bits of a file (FS_IOC_SETFLAGS), or takes it away.
pub fn set_chattr(file: &impl AsRawFd, bit: i64, on: bool) -> Verdict {
    let mut bits: libc::c_long = 0;
    let get = nix::request_code_read!(b'f', 1, size_of::<libc::c_long>());
    let set = nix::request_code_write!(b'f', 2, size_of::<libc::c_long>());
    // SAFETY: the kernel writes an int at the start of the word.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), get, &raw mut bits) })?;
    bits = if on { bits | bit as libc::c_long } else { bits & !bit as libc::c_long };
    // SAFETY: the kernel reads an int from the start of the word.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), set, &raw const bits) })?;
    Ok(())
}

/// A path as the C library takes it.
pub fn c_path(path: &Path) -> Verdict<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
