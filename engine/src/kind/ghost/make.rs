//! Making a deleted file again from its image: the inode with its contents, and what belongs to the inode.

use super::links::link;
use super::name::{Name, Places};
use super::split;
use crate::error::{Doing, Error, Result};
use crate::image::framing::Reader;
use crate::image::proto::{GhostChunkEntry, GhostFileEntry, StasisGhostEntry, Timeval};
use crate::image::{ImageDir, kinds};
use crate::sys::{self, Errno};
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, chown, symlinkat};
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// A deleted file in the images.
pub(super) struct Ghost {
    pub(super) id: u32,
    pub(super) entry: GhostFileEntry,
    more: StasisGhostEntry,
    reader: Reader<BufReader<File>>,
}

impl Ghost {
    /// Reads what it is; the contents follow.
    pub(super) fn read(id: u32, images: &ImageDir, more: StasisGhostEntry) -> Result<Ghost> {
        let name = kinds::GHOST_FILE.of(id);
        let Some(mut reader) = images.reader(name)? else {
            return Err(Error::state(format!("the images name the deleted file {name} and lack it")));
        };
        let Some(entry) = reader.entry::<GhostFileEntry>()? else {
            return Err(reader.invalid("an entry is missing").into());
        };
        Ok(Ghost { id, entry, more, reader })
    }

    pub(super) fn kind(&self) -> SFlag {
        SFlag::from_bits_truncate(self.entry.mode & libc::S_IFMT)
    }

    /// A regular file with the contents but without a name, made in `dir` for writing; `None` where the file system
    /// cannot make such files.
    pub(super) fn nameless(&mut self, dir: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
        let file = match open_nameless(dir, OFlag::O_WRONLY | OFlag::O_CLOEXEC) {
            Ok(file) => file,
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => return Ok(None),
            Err(e) => return Err(e).doing(|| format!("make the deleted file {}", self.id)),
        };
        self.fill(file.as_fd())?;
        Ok(Some(file))
    }

    /// Makes the object with a name. `nameless` is the file that [`Ghost::nameless`] made.
    pub(super) fn name(&mut self, path: &[u8], nameless: Option<&OwnedFd>, places: &mut Places<'_>) -> Result<Name> {
        let (kind, private) = (self.kind(), Mode::S_IRUSR | Mode::S_IWUSR);
        let target = self.entry.symlnk_target.clone();
        let rdev = u64::from(self.entry.rdev.unwrap_or(0));
        let existing = nameless.map(AsFd::as_fd);
        let name = places.put(path, kind == SFlag::S_IFDIR, existing, |dir, name| match (kind, nameless) {
            (SFlag::S_IFREG, Some(file)) => link(file.as_fd(), dir, name),
            (SFlag::S_IFDIR, _) => mkdirat(dir, name, Mode::S_IRWXU),
            (SFlag::S_IFLNK, _) => symlinkat(target.as_deref().unwrap_or(b"."), dir, name),
            (SFlag::S_IFREG | SFlag::S_IFIFO | SFlag::S_IFSOCK, _) => mknodat(dir, name, kind, private, 0),
            (SFlag::S_IFCHR | SFlag::S_IFBLK, _) => mknodat(dir, name, kind, private, rdev),
            _ => Err(Errno::EINVAL),
        })?;
        if kind == SFlag::S_IFREG && nameless.is_none() {
            let file =
                name.open(OFlag::O_WRONLY | OFlag::O_CLOEXEC).doing(|| format!("open the deleted file {}", self.id))?;
            self.fill(file.as_fd())?;
        }
        Ok(name)
    }

    /// Writes the contents, leaving the holes.
    pub(super) fn fill(&mut self, file: BorrowedFd<'_>) -> Result<()> {
        let doing = || "write the contents of a deleted file";
        let file = File::from(file.try_clone_to_owned().doing(doing)?);
        if !self.entry.chunks() {
            let all = self.reader.left();
            return self.reader.copy_payload(all, &mut At { file: &file, at: 0 })?.doing(doing);
        }
        let size = self.entry.size.unwrap_or(0);
        file.set_len(size).doing(doing)?;
        while let Some(chunk) = self.reader.entry::<GhostChunkEntry>()? {
            if chunk.off.checked_add(chunk.len).is_none_or(|end| end > size) {
                return Err(self.reader.invalid("a piece lies past the end of the deleted file").into());
            }
            self.reader.copy_payload(chunk.len, &mut At { file: &file, at: chunk.off })?.doing(doing)?;
        }
        Ok(())
    }

    /// Gives the object its owner, attributes and mode. Later than the contents: writing takes away set-user-id bits and
    /// capabilities, and so does a change of the owner.
    pub(super) fn dress(&self, object: BorrowedFd<'_>) -> Result<()> {
        let doing = |what: &str| format!("set the {what} of the deleted file {}", self.id);
        let path = sys::file::path_of(object);
        let (uid, gid) = (Uid::from_raw(self.entry.uid), Gid::from_raw(self.entry.gid));
        chown(path.as_c_str(), Some(uid), Some(gid)).doing(|| doing("owner"))?;
        for xattr in &self.more.xattrs {
            let set = sys::file::set_xattr(object, &xattr.name, &xattr.value);
            set.doing(|| doing(&format!("attribute {}", String::from_utf8_lossy(&xattr.name))))?;
        }
        // A symbolic link has no mode of its own.
        if self.kind() == SFlag::S_IFLNK {
            return Ok(());
        }
        let mode = Mode::from_bits_truncate(self.entry.mode);
        fchmodat(AT_FDCWD, path.as_c_str(), mode, FchmodatFlags::FollowSymlink).doing(|| doing("mode"))
    }

    /// Gives the object its times, when nothing changes it any more.
    pub(super) fn date(&self, object: BorrowedFd<'_>) -> Result<()> {
        let (Some(atim), Some(mtim)) = (&self.entry.atim, &self.entry.mtim) else { return Ok(()) };
        let time = |time: &Timeval, nsec: Option<u32>| {
            TimeSpec::new(time.tv_sec as i64, nsec.map_or((time.tv_usec.min(999_999) * 1000) as i64, i64::from))
        };
        let (atime, mtime) = (time(atim, self.more.atime_nsec), time(mtim, self.more.mtime_nsec));
        let path = sys::file::path_of(object);
        utimensat(AT_FDCWD, path.as_c_str(), &atime, &mtime, UtimensatFlags::FollowSymlink)
            .doing(|| format!("set the times of the deleted file {}", self.id))
    }
}

/// A file in the directory `dir` that never had a name.
pub(super) fn open_nameless(dir: BorrowedFd<'_>, flags: OFlag) -> sys::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags | OFlag::O_TMPFILE).mode(Mode::S_IRUSR | Mode::S_IWUSR);
    openat2(dir, ".", how.resolve(ResolveFlag::RESOLVE_BENEATH))
}

/// The directory in which a file of this path is.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    split(path).0
}

/// Writes into a file from `at` on.
struct At<'f> {
    file: &'f File,
    at: u64,
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write_at(bytes, self.at)?;
        self.at += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
