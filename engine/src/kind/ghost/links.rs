//! New names for files whose name was deleted while they have others: made at the end of a dump, taken away again unless
//! the tree is gone.

use super::super::Descriptor;
use super::{Ghosts, LINK_REMAP, split};
use crate::error::{Doing, Error, Result};
use crate::guardian::{self, Noted, Undo};
use crate::image::proto::{FdTypes, FileEntry, RegFileEntry, StasisLinkEntry};
use crate::sys::handle::Handle;
use crate::sys::{self, Errno};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::linkat;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A file that is to get a new name.
#[derive(Debug)]
pub(super) struct Link {
    /// Its entry, with the deleted name so far.
    target: RegFileEntry,
    file: OwnedFd,
    inode: (u64, u64),
    what: String,
}

/// Names that were made. Dropped, it takes them away: a dump that fails leaves nothing, and a tree that runs on must not
/// find its files with a link more. Its images find them by their handles.
#[derive(Debug, Default)]
pub struct LinkRemaps {
    made: Vec<Noted>,
}

impl Link {
    pub(super) fn new(target: RegFileEntry, descriptor: &Descriptor) -> Result<Link> {
        let what = descriptor.describe();
        let file = descriptor.copy.try_clone().doing(|| format!("copy {what}"))?;
        Ok(Link { target, file, inode: (descriptor.stat.st_dev, descriptor.stat.st_ino), what })
    }

    /// Makes the name, in the deleted one's directory or the nearest that is still there.
    fn make(mut self) -> Result<(RegFileEntry, Noted)> {
        let doing = || format!("give {} a new name", self.what);
        let (mut path, _) = split(&self.target.name);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = loop {
            match open(if path.is_empty() { &b"/"[..] } else { path }, flags, Mode::empty()) {
                Err(Errno::ENOENT | Errno::ENOTDIR) if !path.is_empty() => path = split(path).0,
                other => break other.doing(doing)?,
            }
        };
        for number in self.target.id.. {
            let name = format!("{LINK_REMAP}{number}");
            let whole = [path, b"/", name.as_bytes()].concat();
            let noted = guardian::note(&Undo::Linked {
                path: PathBuf::from(OsStr::from_bytes(&whole)),
                file: Some(self.inode),
            })?;
            match link(self.file.as_fd(), dir.as_fd(), name.as_bytes()) {
                Ok(()) => {
                    self.target.name = whole;
                    return Ok((self.target, noted));
                }
                // Even if it should lead to this very file, it is not ours.
                Err(Errno::EEXIST) => noted.keep(),
                Err(e) => {
                    return Err(e)
                        .doing(doing)
                        .map_err(|e| e.with_help("its directory must be on the same mount and writable"));
                }
            }
        }
        Err(Error::state(format!("there is no free name for {}", self.what)))
    }
}

/// Gives a file another name. By the empty path only those may who may read any directory, or who opened the file.
pub(super) fn link(file: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &[u8]) -> sys::Result<()> {
    match linkat(file, "", dir, name, AtFlags::AT_EMPTY_PATH) {
        Err(Errno::ENOENT | Errno::EPERM) => {
            linkat(AT_FDCWD, sys::file::path_of(file).as_c_str(), dir, name, AtFlags::AT_SYMLINK_FOLLOW)
        }
        other => other,
    }
}

impl Ghosts {
    /// How the files that get new names are found without these.
    pub(super) fn handles(&self) -> Vec<StasisLinkEntry> {
        let entry = |link: &Link| {
            let handle = Handle::of(link.file.as_fd()).ok()?;
            Some(StasisLinkEntry { id: link.target.id, kind: handle.kind, handle: handle.bytes, ino: link.inode.1 })
        };
        self.links.iter().filter_map(entry).collect()
    }

    /// Makes the new names and adds the files that show them to `entries`.
    pub fn link(&mut self, entries: &mut Vec<FileEntry>) -> Result<LinkRemaps> {
        let mut links = LinkRemaps::default();
        for link in self.links.drain(..) {
            let (reg, name) = link.make()?;
            links.made.push(name);
            entries.push(FileEntry { r#type: FdTypes::Reg as i32, id: reg.id, reg: Some(reg), ..FileEntry::default() });
        }
        Ok(links)
    }
}

impl LinkRemaps {
    /// Leaves the names where they are, for the restore to find.
    pub fn keep(self) {
        self.made.into_iter().for_each(Noted::keep);
    }
}
