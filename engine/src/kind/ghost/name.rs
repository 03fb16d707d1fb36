//! Names that deleted files get for the moment in which they are opened: below the target's root, never through a
//! symbolic link, never in the place of a file that is there. All of them are gone when the restore goes on.

use super::super::regfile::open_below;
use super::split;
use crate::error::{Doing, Error, Result};
use crate::guardian::{self, Noted, Undo};
use crate::sys::{self, Errno};
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

/// O_PATH, O_DIRECTORY, close-on-exec.
const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// A name that was made. Dropped, it takes the name away.
#[derive(Debug)]
pub(super) struct Name {
    dir: Rc<OwnedFd>,
    name: Vec<u8>,
    /// The object behind it, by O_PATH.
    pub(super) object: OwnedFd,
    inode: (u64, u64),
    /// Whether it is a directory.
    pub(super) is_dir: bool,
    /// Whether it is the name that was asked for.
    pub(super) exact: bool,
    removed: bool,
    /// Undoes it when we are killed; for names of files that were there before the name.
    noted: Option<Noted>,
}

impl Name {
    /// Opens the object by this name.
    pub(super) fn open(&self, flags: OFlag) -> sys::Result<OwnedFd> {
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let file = openat2(&self.dir, self.name.as_slice(), OpenHow::new().flags(flags).resolve(resolve))?;
        let stat = fstat(&file)?;
        // Somebody put something else there.
        if (stat.st_dev, stat.st_ino) == self.inode { Ok(file) } else { Err(Errno::ESTALE) }
    }

    /// Takes the name away; the object lives on where it is open.
    pub(super) fn remove(mut self) -> Result<()> {
        self.removed = true;
        self.unlink().doing(|| format!("remove the name {} again", String::from_utf8_lossy(&self.name)))?;
        self.noted.take().into_iter().for_each(Noted::keep);
        Ok(())
    }

    fn unlink(&self) -> sys::Result<()> {
        let how = if self.is_dir { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        match fstatat(&self.dir, self.name.as_slice(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == self.inode => unlinkat(&self.dir, self.name.as_slice(), how),
            // Somebody else was faster.
            Ok(_) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if !self.removed
            && let Err(e) = self.unlink()
        {
            tracing::warn!("failed to remove the name {}: {e}", String::from_utf8_lossy(&self.name));
        }
    }
}

/// The places where names are made. Directories that are missing are made too, and go when it is dropped.
pub(super) struct Places<'r> {
    root: BorrowedFd<'r>,
    made: Vec<Name>,
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        // The innermost first.
        while self.made.pop().is_some() {}
    }
}

impl<'r> Places<'r> {
    /// Below this root.
    pub(super) fn new(root: BorrowedFd<'r>) -> Places<'r> {
        Places { root, made: Vec::new() }
    }

    /// Keeps a directory's name until all is done: files and directories may have been in it.
    pub(super) fn keep(&mut self, name: Name) {
        self.made.push(name);
    }

    /// Takes away all that was made.
    pub(super) fn clear(mut self) -> Result<()> {
        while let Some(name) = self.made.pop() {
            name.remove()?;
        }
        Ok(())
    }

    /// The directory at `path`, made with all above it where it is missing. False where something else is in the way:
    /// then it is the nearest directory above.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<(Rc<OwnedFd>, bool)> {
        let doing = || format!("open the directory {}", String::from_utf8_lossy(path));
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
        match open_below(self.root, path, DIRECTORY, resolve) {
            Ok(dir) => return Ok((Rc::new(dir), true)),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(e) => return Err(e).doing(doing),
        }
        let mut dir = Rc::new(open_below(self.root, b"/", DIRECTORY, resolve).doing(doing)?);
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            dir = match open_directory(&dir, part) {
                Ok(next) => Rc::new(next),
                Err(Errno::ENOENT) => {
                    tracing::warn!(
                        "the directory {} is missing: it is made for the moment",
                        String::from_utf8_lossy(path)
                    );
                    let name = make(&dir, part, true, None, |dir, name| mkdirat(dir, name, Mode::S_IRWXU))?;
                    let next = Rc::new(open_directory(&dir, part).doing(doing)?);
                    self.made.push(name);
                    next
                }
                Err(Errno::ENOTDIR | Errno::ELOOP) => return Ok((dir, false)),
                Err(e) => return Err(e).doing(doing),
            };
        }
        Ok((dir, true))
    }

    /// Makes a name for a deleted object, by `how`, which makes it in a directory: its own, or another in the same
    /// directory where that is taken. `existing` is the object where the name is only a link to it.
    pub(super) fn put(
        &mut self,
        path: &[u8],
        is_dir: bool,
        existing: Option<BorrowedFd<'_>>,
        how: impl Fn(BorrowedFd<'_>, &[u8]) -> sys::Result<()>,
    ) -> Result<Name> {
        let (parent, last) = split(path);
        let text = String::from_utf8_lossy(path);
        if last.is_empty() || last == b"." || last == b".." {
            return Err(Error::state(format!("a deleted file of the images has the name {text}, which none can have")));
        }
        let (dir, there) = self.directory(parent)?;
        if there {
            match make(&dir, last, is_dir, existing, &how) {
                Err(Error::Kernel { errno: Errno::EEXIST, .. }) => {}
                other => return other,
            }
        }
        let mut number = 1;
        let mut name = loop {
            let other = format!("stasis_ghost.{number}");
            match make(&dir, other.as_bytes(), is_dir, existing, &how) {
                Err(Error::Kernel { errno: Errno::EEXIST, .. }) if number < 10_000 => number += 1,
                other => break other?,
            }
        };
        tracing::warn!(
            "{text} is there again: the deleted file of that name is restored as {} (deleted)",
            String::from_utf8_lossy(&name.name)
        );
        name.exact = false;
        Ok(name)
    }
}

fn open_directory(dir: &OwnedFd, name: &[u8]) -> sys::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    openat2(dir, name, OpenHow::new().flags(DIRECTORY | OFlag::O_NOFOLLOW).resolve(resolve))
}

/// Makes one name and takes hold of what is behind it.
fn make(
    dir: &Rc<OwnedFd>,
    name: &[u8],
    is_dir: bool,
    existing: Option<BorrowedFd<'_>>,
    how: impl Fn(BorrowedFd<'_>, &[u8]) -> sys::Result<()>,
) -> Result<Name> {
    let doing = || format!("give a deleted file the name {}", String::from_utf8_lossy(name));
    let noted = existing.map(|file| note(dir, name, file)).transpose()?;
    if let Err(errno) = how(dir.as_fd(), name) {
        // What has the name is not ours.
        noted.into_iter().for_each(Noted::keep);
        return Err(errno).doing(doing);
    }
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let object = nix::fcntl::openat(dir.as_ref(), name, flags, Mode::empty()).doing(doing)?;
    let stat = fstat(&object).doing(doing)?;
    let inode = (stat.st_dev, stat.st_ino);
    let dir = Rc::clone(dir);
    Ok(Name { dir, name: name.to_vec(), object, inode, is_dir, exact: true, removed: false, noted })
}

/// Notes that a name is to be taken away should we be killed before we do it.
fn note(dir: &OwnedFd, name: &[u8], file: BorrowedFd<'_>) -> Result<Noted> {
    let doing = || "look at the directory of a deleted file";
    let path = nix::fcntl::readlink(sys::file::path_of(dir.as_fd()).as_c_str()).doing(doing)?;
    let stat = fstat(file).doing(doing)?;
    let path = PathBuf::from(path).join(OsStr::from_bytes(name));
    guardian::note(&Undo::Linked { path, file: Some((stat.st_dev, stat.st_ino)) })
}
