//! A file opened by name: regular files, directories, symbolic links (O_PATH), the memory devices. Path, offset, flags
//! and owner survive; the file itself must still be there and, unless it is deleted ([`super::ghost`]), have the size,
//! the mode and the build id that it had. Descriptors given by the caller (`--inherit-fd`) are taken as they are.

#[cfg(test)]
mod tests;

use super::context::Late;
use super::procfs::Found;
use super::{
    BatchCall, Descriptor, DumpContext, Kind, RestoreContext, buildid, eventfd::missing, ghost, notice, procfs,
};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, FownEntry, RegFileEntry};
use crate::options::{External, FileValidation, InheritKey};
use crate::sys;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat, major, minor};
use nix::unistd::Whence;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// See the module.
pub struct RegFile;

/// Flags that open(2) acts on once and that must not be repeated.
const ONCE: i32 = libc::O_CREAT | libc::O_EXCL | libc::O_NOCTTY | libc::O_TRUNC;
/// The bit of O_TMPFILE that is its own; the other is O_DIRECTORY.
pub(super) const TMPFILE: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;
/// The kernel's own flag of what an event of fanotify(7) came with: its use is not noticed. Nobody else can set it.
const NOT_NOTICED: i32 = 0x400_0000;
/// The permission bits of a mode.
const PERMISSIONS: u32 = 0o777;

impl Kind for RegFile {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Reg
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        if !descriptor.link.starts_with(b"/") {
            return false;
        }
        match descriptor.file_type() {
            SFlag::S_IFREG | SFlag::S_IFDIR | SFlag::S_IFLNK | SFlag::S_IFBLK => true,
            SFlag::S_IFCHR => descriptor.is_path() || is_memory_device(descriptor),
            _ => descriptor.is_path(),
        }
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let mut reg = describe(descriptor, id)?;
        // Files of addresses have positions that are negative as the kernel prints them.
        reg.pos = descriptor.info.pos as u64;
        reg.fown = descriptor.owner()?;
        check_notice(descriptor, &reg.fown)?;
        if !external(descriptor, &mut reg, cx) {
            dump_name(descriptor, &mut reg, cx)?;
        }
        Ok(FileEntry { r#type: FdTypes::Reg as i32, id, reg: Some(reg), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(reg) = &entry.reg else { return Err(missing(entry, "regular file")) };
        if let Some(fd) = given(reg, cx)? {
            return Ok(fd);
        }
        let fd = open(reg, cx)?;
        if reg.flags & libc::O_PATH as u32 != 0 || is_fifo(reg) {
            return Ok(fd);
        }
        let doing = || format!("give file {} back what it had", name(reg));
        if reg.pos != 0 && !cx.ghosts.has_position(reg) {
            match procfs::is_on(fd.as_fd()).doing(doing)? {
                true => cx.later(fd.as_fd(), Late::Position(reg.pos as i64))?,
                false => nix::unistd::lseek(&fd, reg.pos as i64, Whence::SeekSet).doing(doing).map(drop)?,
            }
        }
        cx.set_owner(fd.as_fd(), &reg.fown)?;
        Ok(fd)
    }

    fn attach(&self, entry: &FileEntry, fd: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        entry.reg.iter().filter(|reg| !reg.ext()).flat_map(|reg| notice(reg.flags, fd)).collect()
    }
}

/// null, zero, full, random, urandom: devices without a state of their own; kmsg, the kernel's log, where it is only
/// written (a reader has a place in it).
fn is_memory_device(descriptor: &Descriptor) -> bool {
    const KMSG: u64 = 11;
    let rdev = descriptor.stat.st_rdev;
    let write_only = descriptor.flags() & libc::O_ACCMODE as u32 == libc::O_WRONLY as u32;
    major(rdev) == 1 && (matches!(minor(rdev), 3 | 5 | 7 | 8 | 9) || (minor(rdev) == KMSG && write_only))
}

/// Whether an entry is the path of a fifo, whose ends [`super::fifo`] opens.
pub(super) fn is_fifo(reg: &RegFileEntry) -> bool {
    reg.flags & libc::O_PATH as u32 == 0 && reg.mode.is_some_and(|mode| mode & libc::S_IFMT == libc::S_IFIFO)
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

/// Whether the caller supplies the file at restore (`--external file[…]`): then the images only name it.
fn external(descriptor: &Descriptor, reg: &mut RegFileEntry, cx: &DumpContext<'_>) -> bool {
    let is_it = |external: &&External| {
        matches!(external, External::File { mnt_id, inode }
            if i64::from(*mnt_id) == i64::from(descriptor.info.mnt_id) && *inode == descriptor.stat.st_ino)
    };
    let Some(key) = cx.options.common.external.iter().find(is_it) else { return false };
    reg.name = key.to_string().into_bytes();
    (reg.ext, reg.size, reg.mode) = (Some(true), None, None);
    true
}

/// Finds out what leads back to the file: its path, or what is in its place.
fn dump_name(descriptor: &Descriptor, reg: &mut RegFileEntry, cx: &mut DumpContext<'_>) -> Result<()> {
    cx.check_mount(descriptor)?;
    match procfs::check(descriptor, cx)? {
        Found::Dead(pid) => ghost::dump_dead(descriptor, pid, reg, cx),
        Found::Late => drop(cx.late.insert(reg.id)),
        Found::There if ghost::dump(descriptor, reg, cx)? => {}
        Found::There => check_writable(descriptor, reg)?,
    }
    Ok(())
}

/// Refuses a directory that may be watched by dnotify: that shows nowhere but in the owner that F_NOTIFY sets, and for
/// nothing else a directory needs one.
fn check_notice(descriptor: &Descriptor, owner: &FownEntry) -> Result<()> {
    if descriptor.file_type() != SFlag::S_IFDIR || owner.pid == 0 {
        return Ok(());
    }
    let reason = "it is or was told of changes in its directory (F_NOTIFY of fcntl), which is not supported yet";
    Err(Error::unsupported(descriptor.describe(), reason).with_help("close the descriptor before the dump"))
}

/// Refuses a file that was opened for writing and that nobody may open so any more.
fn check_writable(descriptor: &Descriptor, reg: &RegFileEntry) -> Result<()> {
    let flags = reg.flags as i32;
    let writes = flags & libc::O_PATH == 0 && flags & libc::O_ACCMODE != libc::O_RDONLY;
    if !writes || descriptor.file_type() != SFlag::S_IFREG {
        return Ok(());
    }
    let forbidden = sys::file::forbidden(descriptor.copy.as_fd());
    let forbidden = forbidden.doing(|| format!("ask for the attributes of {}", descriptor.describe()))?;
    let (what, help) = match flags & libc::O_APPEND {
        _ if forbidden.all => ("immutable", "chattr -i"),
        0 if forbidden.all_but_append => ("append-only", "chattr -a"),
        _ => return Ok(()),
    };
    let reason = format!("it is open for writing, and its file has become {what} since: it cannot be opened again");
    Err(Error::unsupported(descriptor.describe(), reason)
        .with_help(format!("take the attribute away ({help}) until the process is restored")))
}

/// The message of a file that a task has without a descriptor: its executable, a directory, a mapped file.
pub fn dump_path(descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
    if !descriptor.link.starts_with(b"/") {
        return Err(Error::unsupported(descriptor.describe(), "it is on no mount of this namespace"));
    }
    let mut reg = describe(descriptor, id)?;
    reg.flags = descriptor.flags() & !(libc::O_DIRECTORY as u32);
    dump_name(descriptor, &mut reg, cx)?;
    // Programs and libraries are all mapped; of other files nobody expects a build id.
    if descriptor.file_type() == SFlag::S_IFREG && cx.options.file_validation == FileValidation::BuildId {
        let id = buildid::read(descriptor.copy.as_fd());
        reg.build_id = id.doing(|| format!("read the build id of {}", descriptor.describe()))?.unwrap_or_default();
    }
    Ok(FileEntry { r#type: FdTypes::Reg as i32, id, reg: Some(reg), ..FileEntry::default() })
}

/// The message of a file that is watched; what is written to it meanwhile is not checked.
pub fn dump_watched(descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
    let mut reg = RegFileEntry { size: None, ..describe(descriptor, id)? };
    dump_name(descriptor, &mut reg, cx)?;
    Ok(FileEntry { r#type: FdTypes::Reg as i32, id, reg: Some(reg), ..FileEntry::default() })
}

/// The descriptor that the caller supplies for a file, untouched: what it is and where it stands is the caller's.
fn given(reg: &RegFileEntry, cx: &RestoreContext<'_>) -> Result<Option<OwnedFd>> {
    if reg.ext() {
        let text = name(reg);
        let key = match text.parse() {
            Ok(External::File { mnt_id, inode }) => InheritKey::File { mnt_id, inode },
            _ => {
                return Err(Error::state(format!("file {} of the images is external, but has no key: {text}", reg.id)));
            }
        };
        let fd = cx.inherited(|given| *given == key)?;
        return fd.map(Some).ok_or_else(|| {
            let what = format!("{text} was left out of the dump as external, and no descriptor is given for it");
            Error::state(what).with_help(format!("use --inherit-fd 'fd[N]:{text}'"))
        });
    }
    let path = OsStr::from_bytes(reg.name.strip_prefix(b"/").unwrap_or(&reg.name));
    cx.inherited(|given| matches!(given, InheritKey::Path(given) if given.as_os_str() == path))
}

/// Opens the file of an entry below the target's root and checks that it is the one that was dumped. A fifo is opened
/// with O_PATH: everything else could block.
pub fn open(reg: &RegFileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
    if let Some(fd) = ghost::open(reg, cx)? {
        return Ok(fd);
    }
    let open = |flags| {
        open_below(cx.root, &reg.name, flags, ResolveFlag::RESOLVE_IN_ROOT)
            .doing(|| format!("open {}", name(reg)))
            .map_err(|e| e.with_help("the file must be there as it was when the process was dumped"))
    };
    if reg.mode.is_none() {
        // An old image; opening what may be a fifo could block.
        let probe = open(OFlag::O_PATH | OFlag::O_CLOEXEC)?;
        let stat = fstat(&probe).doing(|| format!("look at {}", name(reg)))?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFIFO {
            return Ok(probe);
        }
    }
    let fd = open(how(reg))?;
    check(reg, fd.as_fd(), cx)?;
    Ok(fd)
}

/// The flags with which an entry's file is opened: those it had, without what open does once or does not take.
pub(super) fn how(reg: &RegFileEntry) -> OFlag {
    let mut flags = reg.flags as i32 & !(ONCE | NOT_NOTICED | libc::O_ASYNC);
    if flags & TMPFILE != 0 {
        // The file has a name by now.
        flags &= !libc::O_TMPFILE;
    }
    // openat2 refuses what open ignores.
    if flags & libc::O_PATH != 0 {
        flags &= libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        if reg.mode.is_some_and(|mode| mode & libc::S_IFMT == libc::S_IFLNK) {
            flags |= libc::O_NOFOLLOW;
        }
    } else if is_fifo(reg) {
        flags = libc::O_PATH;
    } else {
        flags |= libc::O_NOCTTY;
    }
    OFlag::from_bits_retain(flags | libc::O_CLOEXEC)
}

/// Opens a path below `root` that may not lead out of it.
pub fn open_below(root: BorrowedFd<'_>, path: &[u8], flags: OFlag, resolve: ResolveFlag) -> sys::Result<OwnedFd> {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    let relative = if relative.is_empty() { &b"."[..] } else { relative };
    openat2(root, relative, OpenHow::new().flags(flags).resolve(resolve))
}

/// Refuses a file that is not the one that was dumped.
pub(super) fn check(reg: &RegFileEntry, fd: BorrowedFd<'_>, cx: &RestoreContext<'_>) -> Result<()> {
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
    // Those of a symbolic link mean nothing; in /proc they tell of what it leads to.
    let is_link = stat.st_mode & libc::S_IFMT == libc::S_IFLNK;
    let compared = if cx.options.skip_file_rwx_check || is_link { !PERMISSIONS } else { u32::MAX };
    if let Some(mode) = reg.mode
        && (mode ^ stat.st_mode) & compared != 0
    {
        return differs("mode", format!("{:o}", stat.st_mode), format!("{mode:o}"));
    }
    if reg.build_id.is_empty() || cx.options.file_validation != FileValidation::BuildId {
        return Ok(());
    }
    let is = buildid::read(fd).doing(|| format!("read the build id of {}", name(reg)))?.unwrap_or_default();
    if is != reg.build_id {
        return differs("build id", buildid::text(&is), buildid::text(&reg.build_id));
    }
    Ok(())
}

/// The path for messages.
pub fn name(reg: &RegFileEntry) -> String {
    String::from_utf8_lossy(&reg.name).into_owned()
}
