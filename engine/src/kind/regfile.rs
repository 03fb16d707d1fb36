//! A file opened by name: regular files, directories, symbolic links (O_PATH), the memory devices. Path, offset, flags
//! and owner survive; the file itself must still be there and, unless it is deleted ([`super::ghost`]), have the size
//! and the mode that it had.

use super::{Descriptor, DumpContext, Kind, RestoreContext, eventfd::missing, set_owner};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, RegFileEntry};
use crate::sys::{self, Errno};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat, major, minor};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See the module.
pub struct RegFile;

/// Flags that open(2) acts on once and that must not be repeated.
const ONCE: u32 = (libc::O_CREAT | libc::O_EXCL | libc::O_NOCTTY | libc::O_TRUNC) as u32;

impl Kind for RegFile {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Reg
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        if !descriptor.link.starts_with(b"/") || descriptor.link.starts_with(b"/memfd:") {
            return false;
        }
        match descriptor.file_type() {
            SFlag::S_IFREG | SFlag::S_IFDIR | SFlag::S_IFLNK => true,
            SFlag::S_IFCHR => descriptor.is_path() || is_memory_device(descriptor.stat.st_rdev),
            _ => descriptor.is_path(),
        }
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let mut reg = describe(descriptor, id)?;
        reg.pos = u64::try_from(descriptor.info.pos).unwrap_or(0);
        reg.flags = descriptor.flags();
        reg.fown = descriptor.owner()?;
        super::ghost::dump(descriptor, &mut reg, cx)?;
        super::locks::dump(descriptor, cx)?;
        Ok(FileEntry { r#type: FdTypes::Reg as i32, id, reg: Some(reg), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(reg) = &entry.reg else { return Err(missing(entry, "regular file")) };
        let fd = open(reg, cx)?;
        let doing = || format!("give file {} back what it had", name(reg));
        if reg.flags & libc::O_PATH as u32 == 0 {
            if reg.pos != 0 {
                nix::unistd::lseek(&fd, reg.pos as i64, nix::unistd::Whence::SeekSet).doing(doing)?;
            }
            sys::file::set_flags(fd.as_fd(), reg.flags as i32).doing(doing)?;
            set_owner(fd.as_fd(), &reg.fown)?;
        }
        Ok(fd)
    }
}

/// null, zero, full, random, urandom, kmsg: devices without a state of their own.
fn is_memory_device(rdev: u64) -> bool {
    major(rdev) == 1 && matches!(minor(rdev), 3 | 5 | 7 | 8 | 9 | 11)
}

/// The message of a file, without what belongs to its open file description.
pub fn describe(descriptor: &Descriptor, id: u32) -> Result<RegFileEntry> {
    let size = (descriptor.file_type() == SFlag::S_IFREG).then_some(descriptor.stat.st_size as u64);
    Ok(RegFileEntry {
        id,
        flags: descriptor.flags(),
        pos: 0,
        fown: super::no_owner(),
        name: descriptor.link.clone(),
        mnt_id: Some(-1),
        size,
        ext: None,
        mode: Some(descriptor.stat.st_mode),
        build_id: Vec::new(),
        checksum: None,
        checksum_config: None,
        checksum_parameter: None,
    })
}

/// The message of a file that a task has without a descriptor: its executable, a directory, a mapped file.
pub fn dump_path(descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
    let mut reg = describe(descriptor, id)?;
    reg.flags = descriptor.flags() & !(libc::O_DIRECTORY as u32);
    super::ghost::dump(descriptor, &mut reg, cx)?;
    Ok(FileEntry { r#type: FdTypes::Reg as i32, id, reg: Some(reg), ..FileEntry::default() })
}

/// Opens the file of an entry below the target's root and checks that it is the one that was dumped.
pub fn open(reg: &RegFileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
    if let Some(fd) = super::ghost::open(reg, cx)? {
        return Ok(fd);
    }
    let fd = open_below(cx.root, &reg.name, reg.flags & !ONCE)
        .doing(|| format!("open {}", name(reg)))
        .map_err(|e| e.with_help("the file must be there as it was when the process was dumped"))?;
    check(reg, fd.as_fd())?;
    Ok(fd)
}

/// Opens a path below `root` that may not lead out of it.
pub fn open_below(root: BorrowedFd<'_>, path: &[u8], flags: u32) -> sys::Result<OwnedFd> {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    let relative = if relative.is_empty() { &b"."[..] } else { relative };
    // O_ASYNC takes effect only through F_SETFL.
    let flags = OFlag::from_bits_retain((flags as i32 & !libc::O_ASYNC) | libc::O_CLOEXEC | libc::O_NOCTTY);
    // openat2 refuses what open ignores.
    let flags = if flags.contains(OFlag::O_PATH) {
        flags & (OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW)
    } else {
        flags
    };
    openat2(root, relative, OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT))
}

/// Refuses a file that is not the one that was dumped.
fn check(reg: &RegFileEntry, fd: BorrowedFd<'_>) -> Result<()> {
    let stat = fstat(fd).doing(|| format!("look at {}", name(reg)))?;
    let differs = |what: &str, is: String, was: String| {
        Err(Error::state(format!("{} has {what} {is}, at the dump it had {was}", name(reg)))
            .with_help("restore the file as it was when the process was dumped"))
    };
    if let Some(size) = reg.size
        && size != stat.st_size as u64
    {
        return differs("size", stat.st_size.to_string(), size.to_string());
    }
    if let Some(mode) = reg.mode
        && mode != stat.st_mode
    {
        return differs("mode", format!("{:o}", stat.st_mode), format!("{mode:o}"));
    }
    Ok(())
}

/// The path for messages.
pub fn name(reg: &RegFileEntry) -> String {
    String::from_utf8_lossy(&reg.name).into_owned()
}

/// What a name means when the file is not there: kept for callers that probe.
pub fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR)
}
