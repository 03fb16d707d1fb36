//! Another process' memory: process_vm_readv(2), process_vm_writev(2), and /proc/PID/mem where these may not go.

use super::{Pid, RemoteAddr, Result, check};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Reads until `buffer` is full or the memory ends: the number of bytes read.
pub fn read(pid: Pid, at: RemoteAddr, buffer: &mut [u8]) -> Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: at.0 as *mut _, iov_len: buffer.len() };
    // SAFETY: `local` is a live buffer of ours; the remote side is checked by the kernel.
    check(unsafe { libc::process_vm_readv(pid.as_raw(), &local, 1, &remote, 1, 0) } as i64).map(|n| n as usize)
}

/// Reads exactly `buffer`; EFAULT when the memory ends before.
pub fn read_exact(pid: Pid, at: RemoteAddr, buffer: &mut [u8]) -> Result<()> {
    if read(pid, at, buffer)? == buffer.len() { Ok(()) } else { Err(super::Errno::EFAULT) }
}

/// Reads a word of 8 bytes.
pub fn read_word(pid: Pid, at: RemoteAddr) -> Result<u64> {
    let mut word = [0; 8];
    read_exact(pid, at, &mut word)?;
    Ok(u64::from_ne_bytes(word))
}

/// Reads several ranges, in order, into `buffer`, whose length is their sum; at most 1024 ranges.
/// Returns the bytes read, which is less where a page cannot be read.
pub fn read_ranges(pid: Pid, ranges: &[(RemoteAddr, u64)], buffer: &mut [u8]) -> Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote: Vec<libc::iovec> =
        ranges.iter().map(|(at, len)| libc::iovec { iov_base: at.0 as *mut _, iov_len: *len as usize }).collect();
    let count = remote.len() as libc::c_ulong;
    // SAFETY: `local` is a live buffer of ours; the kernel writes no more than its length.
    check(unsafe { libc::process_vm_readv(pid.as_raw(), &local, 1, remote.as_ptr(), count, 0) } as i64)
        .map(|n| n as usize)
}

/// The most ranges that one call takes (IOV_MAX).
pub const MAX_RANGES: usize = 1024;

/// Reads each range into its own buffer, all exactly; at most [`MAX_RANGES`].
pub fn read_scattered(pid: Pid, ranges: &mut [(RemoteAddr, &mut [u8])]) -> Result<()> {
    let vectors = ranges.iter_mut().map(|(at, buffer)| pair(*at, buffer.as_mut_ptr(), buffer.len()));
    let (local, remote): (Vec<_>, Vec<_>) = vectors.unzip();
    let count = local.len() as libc::c_ulong;
    // SAFETY: each of `local` is a live buffer of ours that nothing else refers to.
    let read = unsafe { libc::process_vm_readv(pid.as_raw(), local.as_ptr(), count, remote.as_ptr(), count, 0) };
    all_of(&local, read)
}

/// Writes each range, all exactly; at most [`MAX_RANGES`].
pub fn write_scattered(pid: Pid, ranges: &[(RemoteAddr, &[u8])]) -> Result<()> {
    let vectors = ranges.iter().map(|(at, bytes)| pair(*at, bytes.as_ptr().cast_mut(), bytes.len()));
    let (local, remote): (Vec<_>, Vec<_>) = vectors.unzip();
    let count = local.len() as libc::c_ulong;
    // SAFETY: each of `local` is a live buffer that is only read; the remote side is checked by the kernel.
    let written = unsafe { libc::process_vm_writev(pid.as_raw(), local.as_ptr(), count, remote.as_ptr(), count, 0) };
    all_of(&local, written)
}

/// The vectors of a range: ours and the other process'.
fn pair(at: RemoteAddr, own: *mut u8, len: usize) -> (libc::iovec, libc::iovec) {
    let vector = |base| libc::iovec { iov_base: base, iov_len: len };
    (vector(own.cast()), vector(at.0 as *mut _))
}

/// EFAULT where a transfer that succeeded was not whole.
fn all_of(vectors: &[libc::iovec], moved: isize) -> Result<()> {
    let whole: usize = vectors.iter().map(|vector| vector.iov_len).sum();
    if check(moved as i64)? as usize == whole { Ok(()) } else { Err(super::Errno::EFAULT) }
}

/// Writes exactly `bytes` to writable memory of the task.
pub fn write(pid: Pid, at: RemoteAddr, bytes: &[u8]) -> Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        let local = libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() };
        let remote = libc::iovec { iov_base: (at.0 + done as u64) as *mut _, iov_len: rest.len() };
        // SAFETY: `local` is a live buffer that is only read; the remote side is checked by the kernel.
        let n = check(unsafe { libc::process_vm_writev(pid.as_raw(), &local, 1, &remote, 1, 0) } as i64)?;
        if n == 0 {
            return Err(super::Errno::EFAULT);
        }
        done += n as usize;
    }
    Ok(())
}

/// Opens /proc/PID/mem, which reaches also memory without read permission.
pub fn open(pid: Pid, writable: bool) -> std::io::Result<File> {
    std::fs::OpenOptions::new().read(true).write(writable).open(format!("/proc/{pid}/mem"))
}

/// Reads exactly `buffer` through /proc/PID/mem.
pub fn read_forced(mem: &File, at: RemoteAddr, buffer: &mut [u8]) -> std::io::Result<()> {
    mem.read_exact_at(buffer, at.0)
}

/// Writes through /proc/PID/mem, also into read-only private memory, where the kernel's configuration allows.
pub fn write_forced(mem: &File, at: RemoteAddr, bytes: &[u8]) -> std::io::Result<()> {
    mem.write_all_at(bytes, at.0)
}
