//! File handles: name_to_handle_at(2) and open_by_handle_at(2), by which an inode is found whatever its names.

use super::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The longest handle of any file system, bytes (MAX_HANDLE_SZ).
const MAX: usize = 128;

/// `struct file_handle` with room for the longest.
#[repr(C)]
struct Raw {
    len: u32,
    kind: i32,
    bytes: [u8; MAX],
}

/// A name of an inode that only its file system understands. It holds as long as the inode has a name of its own or is
/// open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    /// What the file system calls this form of handle.
    pub kind: i32,
    /// At most 128 bytes.
    pub bytes: Vec<u8>,
}

impl Handle {
    /// The handle of a file, which may be open with O_PATH. EOPNOTSUPP where the file system has none.
    pub fn of(file: BorrowedFd<'_>) -> Result<Handle> {
        Handle::ask(file, 0)
    }

    fn ask(file: BorrowedFd<'_>, flags: i32) -> Result<Handle> {
        let mut raw = Raw { len: MAX as u32, kind: 0, bytes: [0; MAX] };
        let mut mount = 0i32;
        let empty = c"".as_ptr();
        // SAFETY: a struct file_handle with as much room as it says, and an int.
        check(unsafe {
            libc::syscall(
                libc::SYS_name_to_handle_at,
                file.as_raw_fd(),
                empty,
                &raw mut raw,
                &raw mut mount,
                libc::AT_EMPTY_PATH | flags,
            )
        })?;
        let len = (raw.len as usize).min(MAX);
        Ok(Handle { kind: raw.kind, bytes: raw.bytes[..len].to_vec() })
    }

    /// What tells inodes of a file system apart (Linux 6.5): a handle that need not lead back, and that many file systems
    /// have which have no other.
    pub fn name_of(file: BorrowedFd<'_>) -> Result<Handle> {
        const AT_HANDLE_FID: i32 = 0x200;
        Handle::ask(file, AT_HANDLE_FID)
    }

    /// Opens the inode with O_PATH; `on` is a directory of the same mount. ESTALE if there is no such inode any more. Needs
    /// CAP_DAC_READ_SEARCH.
    pub fn open(&self, on: BorrowedFd<'_>) -> Result<OwnedFd> {
        // The call takes no directory that is open with O_PATH, and opening it otherwise would be noticed by who watches
        // it: it is the working directory of a thread for the moment.
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)?;
                nix::unistd::fchdir(on)?;
                self.open_here()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn open_here(&self) -> Result<OwnedFd> {
        let mut raw = Raw { len: self.bytes.len().min(MAX) as u32, kind: self.kind, bytes: [0; MAX] };
        raw.bytes[..raw.len as usize].copy_from_slice(&self.bytes[..raw.len as usize]);
        let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: a whole struct file_handle.
        let fd = check(unsafe { libc::syscall(libc::SYS_open_by_handle_at, libc::AT_FDCWD, &raw const raw, flags) })?;
        // SAFETY: the kernel just gave us this descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}
