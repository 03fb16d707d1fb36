//! Files: owners of asynchronous I/O, holes, pipes.

use super::{Errno, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd};

/// F_GETOWN_EX: who gets SIGIO. Kind 0 is a thread, 1 a process, 2 a process group.
pub fn owner(fd: BorrowedFd<'_>) -> Result<(i32, i32)> {
    const F_GETOWN_EX: i32 = 16;
    let mut owner = [0i32; 2];
    // SAFETY: `owner` is a struct f_owner_ex.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETOWN_EX, owner.as_mut_ptr()) }.into())?;
    Ok((owner[0], owner[1]))
}

/// F_SETOWN_EX. Works from outside: the kernel keeps the credentials of the caller with it.
pub fn set_owner(fd: BorrowedFd<'_>, kind: i32, pid: i32) -> Result<()> {
    const F_SETOWN_EX: i32 = 15;
    let owner = [kind, pid];
    // SAFETY: `owner` is a struct f_owner_ex.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETOWN_EX, owner.as_ptr()) }.into()).map(drop)
}

/// F_GETOWNER_UIDS: the real and effective user whose right to signal counts (CONFIG_CHECKPOINT_RESTORE).
pub fn owner_uids(fd: BorrowedFd<'_>) -> Result<(u32, u32)> {
    const F_GETOWNER_UIDS: i32 = 17;
    let mut uids = [0u32; 2];
    // SAFETY: the kernel writes two uid_t.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETOWNER_UIDS, uids.as_mut_ptr()) }.into())?;
    Ok((uids[0], uids[1]))
}

/// F_GETSIG: the signal for asynchronous I/O, 0 for SIGIO without information.
pub fn io_signal(fd: BorrowedFd<'_>) -> Result<i32> {
    const F_GETSIG: i32 = 11;
    // SAFETY: no argument.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETSIG) }.into()).map(|s| s as i32)
}

/// F_SETSIG.
pub fn set_io_signal(fd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    const F_SETSIG: i32 = 10;
    // SAFETY: an integer argument.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETSIG, signal) }.into()).map(drop)
}

/// F_GETFL: access mode and status flags.
pub fn flags(fd: BorrowedFd<'_>) -> Result<i32> {
    // SAFETY: no argument.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }.into()).map(|f| f as i32)
}

/// F_SETFL: the status flags that can be changed.
pub fn set_flags(fd: BorrowedFd<'_>, flags: i32) -> Result<()> {
    // SAFETY: an integer argument.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) }.into()).map(drop)
}

/// The next data at or after `from` (SEEK_DATA): `None` when only a hole follows.
pub fn seek_data(fd: BorrowedFd<'_>, from: u64) -> Result<Option<u64>> {
    seek(fd, from, libc::SEEK_DATA)
}

/// The next hole at or after `from` (SEEK_HOLE); the end of the file counts as one.
pub fn seek_hole(fd: BorrowedFd<'_>, from: u64) -> Result<Option<u64>> {
    seek(fd, from, libc::SEEK_HOLE)
}

fn seek(fd: BorrowedFd<'_>, from: u64, whence: i32) -> Result<Option<u64>> {
    // SAFETY: integers only.
    match check(unsafe { libc::lseek(fd.as_raw_fd(), from as i64, whence) }) {
        Ok(at) => Ok(Some(at as u64)),
        Err(Errno::ENXIO) => Ok(None),
        Err(e) => Err(e),
    }
}

/// tee(2): copies up to `len` bytes of one pipe's content into another without taking them out.
pub fn tee(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> Result<usize> {
    // SAFETY: integers only.
    check(unsafe { libc::tee(from.as_raw_fd(), to.as_raw_fd(), len, libc::SPLICE_F_NONBLOCK) } as i64)
        .map(|n| n as usize)
}

/// FIONREAD: the bytes that can be read now.
pub fn readable_bytes(fd: BorrowedFd<'_>) -> Result<usize> {
    let mut n: i32 = 0;
    // SAFETY: the kernel writes an int.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut n) }.into())?;
    Ok(n as usize)
}

/// Runs `body` with another real and effective user id, of this thread only: the kernel's credentials belong to a
/// thread, and only the C library makes them look otherwise.
pub fn as_user<T>(uid: u32, euid: u32, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let set = |real: u32, effective: u32| {
        // SAFETY: integers only; the raw call changes this thread alone.
        check(unsafe { libc::syscall(libc::SYS_setresuid, real, effective, u32::MAX) }).map(drop)
    };
    let before = (nix::unistd::getuid().as_raw(), nix::unistd::geteuid().as_raw());
    set(uid, euid)?;
    let result = body();
    set(before.0, before.1)?;
    result
}

/// A copy of one of our own descriptors, by number, as a caller names it on the command line.
pub fn duplicate(fd: i32) -> Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: integers only.
    let copy = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) }.into())?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(copy as i32) })
}

/// The flag that the kernel gives every file that is opened by name and that libc calls 0 where it is implied: its
/// O_LARGEFILE. 0 if it cannot be found out.
pub fn large_file_flag() -> i32 {
    use std::os::fd::AsFd;
    static FLAG: std::sync::OnceLock<i32> = std::sync::OnceLock::new();
    *FLAG.get_or_init(|| {
        let root = nix::fcntl::open("/", nix::fcntl::OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty());
        root.and_then(|root| flags(root.as_fd())).unwrap_or(0)
    })
}

/// The argument of F_SETLK and F_OFD_SETLK, a struct flock, for a range from the start of the file.
pub fn range_lock(write: bool, start: i64, len: i64) -> Vec<u8> {
    // SAFETY: a struct of integers, for which zeros are values.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = if write { libc::F_WRLCK } else { libc::F_RDLCK } as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    (lock.l_start, lock.l_len) = (start, len);
    // SAFETY: the struct was zeroed whole, its padding too, and lives until the copy is made.
    unsafe { std::slice::from_raw_parts((&raw const lock).cast::<u8>(), size_of::<libc::flock>()) }.to_vec()
}

/// The id of the mount that a file was opened on, as in mountinfo (Linux 5.8). The descriptor may be of O_PATH.
pub fn mount_id(fd: BorrowedFd<'_>) -> Result<i32> {
    let found = statx(fd, libc::STATX_MNT_ID)?;
    if found.stx_mask & libc::STATX_MNT_ID == 0 {
        return Err(Errno::ENOSYS);
    }
    i32::try_from(found.stx_mnt_id).map_err(|_| Errno::EOVERFLOW)
}

/// What chattr(1) forbids to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forbidden {
    /// To change it (`+i`).
    pub all: bool,
    /// To change what is there (`+a`).
    pub all_but_append: bool,
}

/// Asks for it; file systems that have no such thing forbid nothing. The descriptor may be of O_PATH.
pub fn forbidden(fd: BorrowedFd<'_>) -> Result<Forbidden> {
    let attributes = statx(fd, 0)?.stx_attributes;
    let has = |attribute: i32| attributes & attribute as u64 != 0;
    Ok(Forbidden { all: has(libc::STATX_ATTR_IMMUTABLE), all_but_append: has(libc::STATX_ATTR_APPEND) })
}

fn statx(fd: BorrowedFd<'_>, mask: u32) -> Result<libc::statx> {
    // SAFETY: a struct of integers, for which zeros are values.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: an empty string and a struct statx.
    check(unsafe { libc::statx(fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, mask, &raw mut found) }.into())?;
    Ok(found)
}

/// Where /proc leads to the very object of a descriptor, also one of O_PATH and a symbolic link's.
pub fn path_of(fd: BorrowedFd<'_>) -> std::ffi::CString {
    std::ffi::CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default()
}

/// The extended attributes of a file, names and values; none where the file system has no such thing. The descriptor
/// may be of O_PATH.
pub fn xattrs(fd: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = path_of(fd);
    // SAFETY: the kernel writes at most `len` bytes to `at`.
    let list = grown(|at, len| check(unsafe { libc::listxattr(path.as_ptr(), at.cast(), len) } as i64));
    let names = match list {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let c_name = std::ffi::CString::new(name).map_err(|_| Errno::EINVAL)?;
        // SAFETY: as above; the name ends with NUL.
        let value =
            grown(|at, len| check(unsafe { libc::getxattr(path.as_ptr(), c_name.as_ptr(), at.cast(), len) } as i64))?;
        found.push((name.to_vec(), value));
    }
    Ok(found)
}

/// What a call writes whose result must fit: it is asked for the size first.
fn grown(mut call: impl FnMut(*mut u8, usize) -> Result<i64>) -> Result<Vec<u8>> {
    loop {
        let size = call(std::ptr::null_mut(), 0)? as usize;
        let mut bytes = vec![0; size];
        if size == 0 {
            return Ok(bytes);
        }
        match call(bytes.as_mut_ptr(), size) {
            // It has grown since.
            Err(Errno::ERANGE) => continue,
            other => bytes.truncate(other? as usize),
        }
        return Ok(bytes);
    }
}

/// Sets an extended attribute. The descriptor may be of O_PATH.
pub fn set_xattr(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    let (path, name) = (path_of(fd), std::ffi::CString::new(name).map_err(|_| Errno::EINVAL)?);
    // SAFETY: two strings and a live buffer with its length.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    check(set.into()).map(drop)
}

/// FS_IOC_FIEMAP: where a file of `size` bytes has data, as offsets of the first byte and past the last, ascending.
/// What is only reserved (unwritten) counts as a hole, so the file is written back first.
pub fn extents(fd: BorrowedFd<'_>, size: u64) -> Result<Vec<(u64, u64)>> {
    const AT_ONCE: usize = 128;
    const SYNC: u32 = 1;
    const LAST: u32 = 1;
    const UNWRITTEN: u32 = 0x800;
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Extent {
        logical: u64,
        physical: u64,
        length: u64,
        reserved: [u64; 2],
        flags: u32,
        more: [u32; 3],
    }
    #[repr(C)]
    struct Map {
        start: u64,
        length: u64,
        flags: u32,
        mapped: u32,
        count: u32,
        reserved: u32,
        extents: [Extent; AT_ONCE],
    }
    const { assert!(size_of::<Extent>() == 56 && std::mem::offset_of!(Map, extents) == 32) };
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut at = 0;
    while at < size {
        let none = Extent { logical: 0, physical: 0, length: 0, reserved: [0; 2], flags: 0, more: [0; 3] };
        let mut map = Map {
            start: at,
            length: size - at,
            flags: SYNC,
            mapped: 0,
            count: AT_ONCE as u32,
            reserved: 0,
            extents: [none; AT_ONCE],
        };
        let request = nix::request_code_readwrite!(b'f', 11, 32);
        // SAFETY: a struct fiemap with room for as many extents as its count says.
        check(unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut map) }.into())?;
        let mapped = &map.extents[..(map.mapped as usize).min(AT_ONCE)];
        for extent in mapped.iter().filter(|extent| extent.flags & UNWRITTEN == 0) {
            let end = extent.logical.saturating_add(extent.length).min(size);
            match runs.last_mut() {
                Some(last) if last.1 >= extent.logical => last.1 = last.1.max(end),
                _ => runs.push((extent.logical.max(at), end)),
            }
        }
        match mapped.last() {
            Some(last) if last.flags & LAST == 0 => {
                // Every round must get further.
                at = last.logical.saturating_add(last.length).max(at + 1);
            }
            _ => break,
        }
    }
    runs.retain(|(start, end)| start < end);
    Ok(runs)
}

/// Makes a system call of this process as a batch makes it in another one, with data behind one argument.
#[cfg(test)]
pub fn run_for_test(nr: i64, mut args: [u64; 3], data: Option<(usize, &mut [u8])>) -> Result<i64> {
    if let Some((index, bytes)) = data {
        args[index] = bytes.as_mut_ptr() as u64;
    }
    // SAFETY: the tests pass calls that touch no more than `data`.
    check(unsafe { libc::syscall(nr, args[0], args[1], args[2]) })
}

/// Makes room for many descriptors: raises the soft limit as far as it goes, and has the kernel grow our table now. Once
/// other threads share the table, growing it takes a grace period of RCU each time it doubles: some milliseconds.
pub fn widen_table() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const ROOM: u64 = 4096;
    // Where this fails, what needs more descriptors than there are says so.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let limit = if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    let highest = ROOM.min(limit).saturating_sub(1) as libc::c_int;
    if let Ok(null) = std::fs::File::open("/dev/null") {
        let _ = nix::fcntl::fcntl(&null, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(highest)).map(nix::unistd::close);
    }
}
