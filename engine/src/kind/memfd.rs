//! A memory file (memfd_create(2)), open, mapped or run: its name, contents and holes, size, owner, mode, times,
//! extended attributes, seals and huge pages survive, and the flags, positions and owners of what is open. Its inode
//! number does not, nor what was written behind its end through a mapping. Among huge pages a page of zeros is a hole. A
//! mapping for reading, made by a descriptor for writing after F_SEAL_FUTURE_WRITE, shows a flag less in smaps (`sh`).

use super::context::Late;
use super::eventfd::missing;
use super::pipe_data::{reopen, reopen_to_read};
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext, ghost, notice, segment};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{
    FdTypes, FileEntry, FownEntry, MemfdFileEntry, MemfdInodeEntry, StasisMemfdEntry, StasisXattr,
};
use crate::image::{ImageDir, NewImageDir, kinds};
use crate::options::InheritKey;
use crate::sys::{self, Errno};
use nix::fcntl::{AT_FDCWD, FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{FileStat, Mode, UtimensatFlags, fchmod, fstat, utimensat};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, Whence, fchown, lseek};
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

/// See the module.
pub struct Memfd;

/// What the kernel puts before the name.
const PREFIX: &[u8] = b"/memfd:";
/// How CRIU calls the file behind shared anonymous memory.
const ANONYMOUS: &[u8] = b"/dev/zero";
/// MFD_EXEC (Linux 6.3).
const MFD_EXEC: u32 = 0x10;
/// The flags of an open file description that fcntl(2) sets.
const SETTABLE: i32 = libc::O_APPEND | libc::O_NONBLOCK | libc::O_DIRECT | libc::O_NOATIME | libc::O_ASYNC;

impl Kind for Memfd {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Memfd
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        is_memfd(descriptor)
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let fown = descriptor.owner()?;
        entry(descriptor, id, fown, cx)
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(it) = &entry.memfd else { return Err(missing(entry, "memory file")) };
        if !cx.memfds.made.contains_key(&it.inode_id) {
            make(it.inode_id, cx)?;
        }
        let Some(made) = cx.memfds.made.get_mut(&it.inode_id) else { return Err(missing(entry, "memory file")) };
        let doing = || format!("open the memory file {} of the images", entry.id);
        let fd = made.open(it.flags as i32).doing(doing)?;
        if it.flags & libc::O_PATH as u32 != 0 {
            return Ok(fd);
        }
        if it.pos != 0 {
            lseek(&fd, it.pos as i64, Whence::SeekSet).doing(doing)?;
        }
        cx.set_owner(fd.as_fd(), &it.fown)?;
        Ok(fd)
    }

    fn attach(&self, entry: &FileEntry, fd: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        entry.memfd.iter().flat_map(|memfd| notice(memfd.flags, fd)).collect()
    }
}

/// Whether it is a memory file, and not a file of such a name: memory files are on mounts of the kernel's own.
pub fn is_memfd(descriptor: &Descriptor) -> bool {
    static MOUNT: OnceLock<Option<u64>> = OnceLock::new();
    let probe = || fstat(memfd_create("stasis-probe", MFdFlags::MFD_CLOEXEC).ok()?).ok();
    descriptor.link.starts_with(PREFIX)
        && (*MOUNT.get_or_init(|| probe().map(|stat| stat.st_dev)) == Some(descriptor.stat.st_dev)
            || fstatfs(&descriptor.copy).is_ok_and(|fs| fs.filesystem_type() == HUGETLBFS_MAGIC))
}

/// The message of a memory file that a task has without a descriptor: mapped, or its executable.
pub fn dump_path(descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
    entry(descriptor, id, super::no_owner(), cx)
}

fn entry(descriptor: &Descriptor, id: u32, fown: FownEntry, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
    let inode_id = cx.memfds.id_of(descriptor)?;
    cx.memfds.files.insert(id, inode_id);
    let pos = descriptor.info.pos as u64;
    let memfd = MemfdFileEntry { id, flags: descriptor.flags(), pos, fown, inode_id };
    Ok(FileEntry { r#type: FdTypes::Memfd as i32, id, memfd: Some(memfd), ..FileEntry::default() })
}

/// Memory files found during a dump.
#[derive(Debug, Default)]
pub struct Memfds {
    known: HashMap<(u64, u64), u32>,
    /// The open files that are memory files, and which.
    files: HashMap<u32, u32>,
    entries: Vec<MemfdInodeEntry>,
    more: Vec<StasisMemfdEntry>,
    /// Inode number and contents of each.
    contents: Vec<(u64, File)>,
}

impl Memfds {
    /// Whether a file of the images is a memory file.
    pub fn is_file(&self, id: u32) -> bool {
        self.files.contains_key(&id)
    }

    /// Whether a file of the images is a memory file that nobody may write any more.
    pub fn is_constant(&self, id: u32) -> bool {
        let inode = self.files.get(&id).and_then(|inode| self.entries.get(*inode as usize - 1));
        inode.is_some_and(|inode| inode.seals & libc::F_SEAL_WRITE as u32 != 0)
    }

    /// Takes the contents; `add` gives each an id, of its inode number and a descriptor to read it by.
    pub fn place(&mut self, mut add: impl FnMut(u64, File) -> u64) {
        for (entry, (inode, file)) in self.entries.iter_mut().zip(self.contents.drain(..)) {
            entry.shmid = add(inode, file) as u32;
        }
    }

    /// Writes what they are beside their contents.
    pub fn write(&self, out: &NewImageDir) -> Result<()> {
        if !self.entries.is_empty() {
            out.write_all(kinds::MEMFD_INODE.single(), &self.entries)?;
            out.write_all(kinds::STASIS_MEMFD.single(), &self.more)?;
        }
        Ok(())
    }

    fn id_of(&mut self, descriptor: &Descriptor) -> Result<u32> {
        let stat = &descriptor.stat;
        if let Some(id) = self.known.get(&(stat.st_dev, stat.st_ino)) {
            return Ok(*id);
        }
        let doing = || format!("look at {}", descriptor.describe());
        let file = File::from(reopen_to_read(descriptor.copy.as_fd()).doing(doing)?);
        let id = self.entries.len() as u32 + 1;
        self.more.push(more(id, stat, &file).doing(doing)?);
        self.entries.push(inode(id, &descriptor.link, stat, &file).doing(doing)?);
        self.contents.push((stat.st_ino, file));
        self.known.insert((stat.st_dev, stat.st_ino), id);
        Ok(id)
    }
}

fn inode(id: u32, link: &[u8], stat: &FileStat, file: &File) -> sys::Result<MemfdInodeEntry> {
    let name = link.strip_prefix(PREFIX).unwrap_or(link);
    let fs = fstatfs(file)?;
    let huge = (fs.filesystem_type() == HUGETLBFS_MAGIC).then(|| {
        let size = (fs.block_size() as u64).max(1).trailing_zeros();
        libc::MFD_HUGETLB | size << libc::MFD_HUGE_SHIFT
    });
    Ok(MemfdInodeEntry {
        name: name.strip_suffix(ghost::DELETED).unwrap_or(name).to_vec(),
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u64,
        shmid: 0,
        seals: fcntl(file, FcntlArg::F_GET_SEALS)? as u32,
        inode_id: id.into(),
        hugetlb_flag: huge,
        mode: Some(stat.st_mode),
    })
}

fn more(inode_id: u32, stat: &FileStat, file: &File) -> sys::Result<StasisMemfdEntry> {
    let xattrs = sys::file::xattrs(file.as_fd())?;
    Ok(StasisMemfdEntry {
        inode_id,
        atime: stat.st_atime,
        atime_nsec: stat.st_atime_nsec as u32,
        mtime: stat.st_mtime,
        mtime_nsec: stat.st_mtime_nsec as u32,
        xattrs: xattrs.into_iter().map(|(name, value)| StasisXattr { name, value }).collect(),
    })
}

/// Memory files that are being restored.
#[derive(Debug, Default)]
pub struct Restorer {
    inodes: HashMap<u32, MemfdInodeEntry>,
    more: HashMap<u32, StasisMemfdEntry>,
    made: HashMap<u32, Made>,
}

/// One that was made.
#[derive(Debug)]
struct Made {
    /// The open file description that came with it.
    first: OwnedFd,
    /// Whether a task has that.
    taken: bool,
}

impl Restorer {
    /// Reads what they are.
    pub fn load(images: &ImageDir) -> Result<Restorer> {
        let inodes = images.read_all(kinds::MEMFD_INODE.single())?;
        let more = images.read_all(kinds::STASIS_MEMFD.single())?;
        Ok(Restorer {
            inodes: inodes.into_iter().map(|inode| (inode.inode_id as u32, inode)).collect(),
            more: more.into_iter().map(|more| (more.inode_id, more)).collect(),
            made: HashMap::new(),
        })
    }

    /// Closes all.
    pub(super) fn close(&mut self) {
        self.made.clear();
    }
}

impl Made {
    /// An open file description with these flags. The first that can be is the one that came with the file: opened
    /// again for writing it could not be executed (ETXTBSY). A mapping may share it, as it did when the task made it.
    fn open(&mut self, flags: i32) -> sys::Result<OwnedFd> {
        let own = flags & !(SETTABLE | sys::file::large_file_flag()) == libc::O_RDWR;
        if flags == libc::O_RDWR {
            return sys::file::duplicate(self.first.as_raw_fd());
        }
        if own && !self.taken {
            self.taken = true;
            sys::file::set_flags(self.first.as_fd(), flags & !libc::O_ASYNC)?;
            return sys::file::duplicate(self.first.as_raw_fd());
        }
        reopen(self.first.as_fd(), flags & !libc::O_ASYNC)
    }
}

/// Makes a memory file with its contents, or takes the one that the caller gives for it.
fn make(inode_id: u32, cx: &mut RestoreContext<'_>) -> Result<()> {
    let Some(inode) = cx.memfds.inodes.get(&inode_id).cloned() else {
        return Err(Error::state(format!("the images lack the memory file {inode_id}")));
    };
    let named = |given: &InheritKey| matches!(given, InheritKey::Memfd { name } if name.as_bytes() == inode.name);
    let first = match cx.inherited(named)? {
        Some(given) => given,
        None => {
            let more = cx.memfds.more.remove(&inode_id);
            let file = match more.is_none() && inode.name == ANONYMOUS {
                true => {
                    let flags = inode.hugetlb_flag.unwrap_or(0) as i32;
                    sys::map::shared_segment(inode.size, flags).doing(|| doing("make", &inode))?
                }
                false => create(&inode, more.as_ref())?,
            };
            if let Some(map) = segment::map(cx.images, inode.shmid.into())? {
                segment::fill(cx.images, &map, file.as_fd(), inode.size, inode.hugetlb_flag.is_some())?;
            }
            let finish = Finish { inode, more };
            match finish.inode.seals & libc::F_SEAL_WRITE as u32 != 0 {
                // No mapping can write. Those made by a descriptor for writing need the seal, or they could.
                true => finish.apply(file.as_fd())?,
                false => cx.later(file.as_fd(), Late::Memfd(finish))?,
            }
            file
        }
    };
    cx.memfds.made.insert(inode_id, Made { first, taken: false });
    Ok(())
}

fn doing(what: &str, inode: &MemfdInodeEntry) -> String {
    format!("{what} the memory file {} of {} bytes", String::from_utf8_lossy(&inode.name), inode.size)
}

/// Makes a memory file, still without contents and seals.
fn create(inode: &MemfdInodeEntry, more: Option<&StasisMemfdEntry>) -> Result<OwnedFd> {
    let name = CString::new(inode.name.as_slice())
        .map_err(|_| Error::state(format!("the memory file {} of the images has no possible name", inode.inode_id)))?;
    let mode = Mode::from_bits_truncate(inode.mode.unwrap_or(0o777));
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | inode.hugetlb_flag.unwrap_or(0);
    let made = |more| memfd_create(name.as_c_str(), MFdFlags::from_bits_retain(flags | more));
    let file = match made(MFD_EXEC) {
        // Before Linux 6.3 every memory file can be executed.
        Err(Errno::EINVAL) => made(0),
        // vm.memfd_noexec is 2; some need no more.
        Err(Errno::EACCES) if mode.bits() & 0o111 == 0 => made(0),
        other => other,
    };
    let help = || match (inode.hugetlb_flag, mode.bits() & 0o111) {
        (Some(_), _) => "it is of huge pages: the kernel must have this size",
        (None, 0) => "is there memory?",
        (None, _) => "it is executable: vm.memfd_noexec must allow that",
    };
    let file = file.doing(|| doing("make", inode)).map_err(|e| e.with_help(help()))?;
    let size = i64::try_from(inode.size).map_err(|_| Errno::EFBIG);
    size.and_then(|size| nix::unistd::ftruncate(&file, size)).doing(|| doing("set the size of", inode))?;
    let (uid, gid) = (Uid::from_raw(inode.uid), Gid::from_raw(inode.gid));
    fchown(&file, Some(uid), Some(gid)).doing(|| doing("set the owner of", inode))?;
    fchmod(&file, mode).doing(|| doing("set the mode of", inode))?;
    for xattr in more.iter().flat_map(|more| &more.xattrs) {
        sys::file::set_xattr(file.as_fd(), &xattr.name, &xattr.value).doing(|| doing("set an attribute of", inode))?;
    }
    Ok(file)
}

/// What a memory file gets when it has its contents and, unless no mapping may write, is mapped everywhere: a seal against
/// future writing would forbid that.
#[derive(Debug)]
pub struct Finish {
    inode: MemfdInodeEntry,
    more: Option<StasisMemfdEntry>,
}

impl Finish {
    /// Sets times and seals.
    pub fn apply(&self, file: BorrowedFd<'_>) -> Result<()> {
        let inode = &self.inode;
        if let Some(more) = &self.more {
            let atime = TimeSpec::new(more.atime, more.atime_nsec.into());
            let mtime = TimeSpec::new(more.mtime, more.mtime_nsec.into());
            let path = sys::file::path_of(file);
            utimensat(AT_FDCWD, path.as_c_str(), &atime, &mtime, UtimensatFlags::FollowSymlink)
                .doing(|| doing("set the times of", inode))?;
        }
        let has = fcntl(file, FcntlArg::F_GET_SEALS).doing(|| doing("ask for the seals of", inode))?;
        let missing = SealFlag::from_bits_retain(inode.seals as i32 & !has);
        if !missing.is_empty() {
            fcntl(file, FcntlArg::F_ADD_SEALS(missing)).doing(|| doing("seal", inode))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::tests::{descriptor, dump, options, restore};
    use crate::options::RestoreOptions;

    fn memfd(name: &str) -> OwnedFd {
        memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap()
    }

    #[test]
    fn a_memory_file_comes_back_as_it_was_or_is_given() {
        let file = memfd("a \u{fc}\n (deleted)");
        fchmod(&file, Mode::from_bits_truncate(0o640)).unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).unwrap();
        let held = [descriptor(reopen(file.as_fd(), libc::O_RDONLY).unwrap()), descriptor(file)];
        let dumped = dump(&options(false), &held).unwrap();
        let shown = |d: &Descriptor| (d.link.clone(), d.info.flags, d.stat.st_mode);
        let before = held.each_ref().map(shown);
        drop(held);
        let given = memfd("given");
        let inode = fstat(&given).unwrap().st_ino;
        for is_given in [false, true] {
            let key = format!("fd[{}]:/memfd:a \u{fc}\n (deleted)", given.as_raw_fd());
            let inherit_fds = if is_given { vec![key.parse().unwrap()] } else { Vec::new() };
            restore(&dumped, &RestoreOptions { inherit_fds, ..RestoreOptions::default() }, |_, after| {
                assert_eq!(after[0].stat.st_ino, after[1].stat.st_ino);
                assert_eq!(after[0].stat.st_ino == inode, is_given);
                if !is_given {
                    assert_eq!([shown(&after[0]), shown(&after[1])], before);
                    assert_eq!(fcntl(&after[1].copy, FcntlArg::F_GET_SEALS).unwrap(), libc::F_SEAL_GROW);
                }
            })
            .unwrap();
        }
    }

    #[test]
    fn images_that_cannot_be_are_errors() {
        let file = memfd("x");
        let dumped = dump(&options(false), &[descriptor(file)]).unwrap();
        let inode = dumped.images.read_all(kinds::MEMFD_INODE.single()).unwrap().remove(0);
        assert!(create(&MemfdInodeEntry { size: u64::MAX, ..inode.clone() }, None).is_err());
        assert!(create(&MemfdInodeEntry { name: b"a\0b".to_vec(), ..inode.clone() }, None).is_err());
        assert!(create(&MemfdInodeEntry { name: vec![b'a'; 300], ..inode.clone() }, None).is_err());
        assert!(create(&MemfdInodeEntry { hugetlb_flag: Some(u32::MAX), ..inode }, None).is_err());
    }
}
