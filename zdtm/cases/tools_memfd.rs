//! Memory files: made, sealed, opened again.

use crate::gate::{Verdict, check_eq};
use crate::tools_files::owned;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// F_SEAL_FUTURE_WRITE.
pub const FUTURE_WRITE: i32 = 0x10;
/// F_SEAL_EXEC (Linux 6.3).
pub const EXEC: i32 = 0x20;
/// MFD_NOEXEC_SEAL (Linux 6.3).
pub const NOEXEC_SEAL: u32 = 0x8;

/// A memory file; `flags` are MFD_*.
pub fn memfd(name: &[u8], flags: u32) -> Verdict<File> {
    let name = CString::new(name)?;
    // SAFETY: the name outlives the call.
    Ok(owned(unsafe { libc::memfd_create(name.as_ptr(), flags) }.into())?.into())
}

/// A memory file with this content that can be sealed.
pub fn filled(name: &[u8], content: &[u8]) -> Verdict<File> {
    let file = memfd(name, libc::MFD_ALLOW_SEALING)?;
    file.write_all_at(content, 0)?;
    Ok(file)
}

/// Its seals.
pub fn seals(file: &impl AsFd) -> Result<i32, Errno> {
    fcntl(file, FcntlArg::F_GET_SEALS)
}

/// Adds seals.
pub fn seal(file: &impl AsFd, seals: i32) -> Result<(), Errno> {
    fcntl(file, FcntlArg::F_ADD_SEALS(SealFlag::from_bits_retain(seals))).map(drop)
}

/// Another open file description of the same file.
pub fn again(file: &impl AsRawFd, flags: i32) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    nix::fcntl::open(path.as_str(), OFlag::from_bits_retain(flags), nix::sys::stat::Mode::empty())
}

/// Fails unless the file holds exactly this.
pub fn check_content(what: &str, file: &File, content: &[u8]) -> Verdict {
    let mut found = vec![0; content.len() + 1];
    let read = file.read_at(&mut found, 0)?;
    found.truncate(read);
    check_eq(what, found, content.to_vec())
}

/// The raw error of an operation that must fail.
pub fn error_of<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|e| e.raw_os_error())
}
