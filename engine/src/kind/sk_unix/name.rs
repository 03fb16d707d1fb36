//! Binding sockets to names. The kernel keeps a name as it was given, also a relative one or one that leads nowhere by
//! now. So a socket is bound in a directory of ours that is the root directory at that moment, and then its file is moved
//! to its place, if it has one.

use super::diag::Diag;
use crate::error::{Doing, Error, Result};
use crate::guardian::{self, Noted, Undo};
use crate::image::proto::FilePermsEntry;
use crate::kind::regfile::open_below;
use crate::sys::{self, Errno, socket};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, ResolveFlag, openat, readlink, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, fchownat};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where a bound socket is connected to.
#[derive(Debug)]
pub enum Reach {
    /// An abstract name.
    Name(Vec<u8>),
    /// Its file.
    File(OwnedFd),
}

impl Reach {
    /// The address, for any process that sees our /proc.
    pub fn address(&self) -> Vec<u8> {
        match self {
            Reach::Name(name) => socket::unix_address(name),
            Reach::File(file) => {
                let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
                socket::unix_address(path.as_bytes())
            }
        }
    }
}

/// Where a socket's file belongs.
#[derive(Debug)]
pub struct Place<'a> {
    /// Its path below the target's root.
    pub path: Vec<u8>,
    /// Its owner and mode.
    pub perms: Option<&'a FilePermsEntry>,
}

/// The names that were made. Dropping it takes them away, unless they were kept.
#[derive(Debug, Default)]
pub struct Names {
    scratches: Vec<Scratch>,
    placed: Vec<Noted>,
    diag: Option<Diag>,
}

/// A directory of ours for the moment.
#[derive(Debug)]
struct Scratch {
    parent: PathBuf,
    path: PathBuf,
    dir: OwnedFd,
    made: HashSet<PathBuf>,
    /// Dropped from the last to the first: what lies inside goes before what it lies in.
    notes: Vec<Noted>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        while self.notes.pop().is_some() {}
    }
}

/// The part of sun_path that counts in the name of a file.
pub fn text(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

impl Names {
    /// Binds a socket. Without a place its file has no name afterwards.
    pub fn bind(
        &mut self,
        root: BorrowedFd<'_>,
        fd: BorrowedFd<'_>,
        name: &[u8],
        place: Option<Place<'_>>,
    ) -> Result<Reach> {
        if name.first() == Some(&0) {
            socket::bind(fd, &socket::unix_address(name))
                .doing(|| format!("bind a socket to the abstract name {:?}", shown(&name[1..])))?;
            return Ok(Reach::Name(name.to_vec()));
        }
        let name = text(name);
        let doing = || format!("bind a socket to {}", shown(name));
        let parent = match &place {
            Some(place) => self.parent(root, &place.path)?,
            None => open_dir(AT_FDCWD, &std::env::temp_dir()).doing(doing)?,
        };
        let (scratch, file) = self.bind_in(parent.as_fd(), fd, name)?;
        let scratch_fd = self.scratches[scratch].dir.try_clone().doing(doing)?;
        let found = openat(&scratch_fd, &file, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty());
        let found = found.doing(doing)?;
        if let Some(place) = place {
            if let Some(perms) = place.perms {
                let (uid, gid) = (Uid::from_raw(perms.uid), Gid::from_raw(perms.gid));
                fchownat(&scratch_fd, &file, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW).doing(doing)?;
                let mode = Mode::from_bits_truncate(perms.mode & 0o7777);
                fchmodat(&scratch_fd, &file, mode, FchmodatFlags::FollowSymlink).doing(doing)?;
            }
            self.place((scratch_fd.as_fd(), &file), found.as_fd(), parent.as_fd(), &place.path)?;
        }
        // Where it still has the name that it was bound by, that goes.
        drop(self.scratches[scratch].notes.pop());
        Ok(Reach::File(found))
    }

    fn parent(&self, root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
        let parent = Path::new(OsStr::from_bytes(path)).parent().unwrap_or(Path::new("/"));
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        open_below(root, parent.as_os_str().as_bytes(), flags, ResolveFlag::RESOLVE_IN_ROOT)
            .doing(|| format!("open the directory of the socket {}", shown(path)))
            .map_err(|e| e.with_help("the directory must be there as it was when the process was dumped"))
    }

    /// Binds a socket in a scratch directory: which one, and the path of the file in it. The last note of the scratch
    /// directory is that file's.
    fn bind_in(&mut self, parent: BorrowedFd<'_>, fd: BorrowedFd<'_>, name: &[u8]) -> Result<(usize, PathBuf)> {
        let doing = || format!("bind a socket to {}", shown(name));
        let index = self.scratch(parent)?;
        let scratch = &mut self.scratches[index];
        let (start, file, dirs) = layout(name);
        for dir in dirs {
            if scratch.made.insert(dir.clone()) {
                scratch.notes.push(guardian::note(&Undo::Made { path: scratch.path.join(&dir) })?);
                mkdirat(&scratch.dir, &dir, Mode::S_IRWXU).doing(doing)?;
            }
        }
        scratch.notes.push(guardian::note(&Undo::Linked { path: scratch.path.join(&file), file: None })?);
        let (dir, address) = (scratch.dir.as_fd(), socket::unix_address(&[name, b"\0"].concat()));
        in_root(dir, &Path::new("/").join(&start), || socket::bind(fd, &address)).doing(doing)?;
        Ok((index, file))
    }

    /// The scratch directory beside a place, made if need be.
    fn scratch(&mut self, parent: BorrowedFd<'_>) -> Result<usize> {
        let doing = || "make a directory to bind sockets in";
        let path: PathBuf = readlink(format!("/proc/self/fd/{}", parent.as_raw_fd()).as_str()).doing(doing)?.into();
        if let Some(index) = self.scratches.iter().position(|scratch| scratch.parent == path) {
            return Ok(index);
        }
        // Engines of other pid namespaces may be at work in the same place.
        let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").doing(doing)?;
        let name = PathBuf::from(format!(".stasis-{}", uuid.trim()));
        let note = guardian::note(&Undo::Made { path: path.join(&name) })?;
        mkdirat(parent, &name, Mode::S_IRWXU).doing(doing)?;
        let dir = open_dir(parent, &name).doing(doing)?;
        let path_of = path.join(&name);
        self.scratches.push(Scratch { parent: path, path: path_of, dir, made: HashSet::new(), notes: vec![note] });
        Ok(self.scratches.len() - 1)
    }

    /// Moves a socket's file to its place. A file of a socket that nobody has any more is replaced: it is what the
    /// process left behind, and ours is the same should the restore fail.
    fn place(
        &mut self,
        (scratch, file): (BorrowedFd<'_>, &Path),
        found: BorrowedFd<'_>,
        parent: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<()> {
        let doing = || format!("put the socket {} in its place", shown(path));
        let path = Path::new(OsStr::from_bytes(path));
        let base = path.file_name().ok_or(Errno::EINVAL).doing(doing)?;
        match fstatat(parent, base, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => {
                let dir: PathBuf =
                    readlink(format!("/proc/self/fd/{}", parent.as_raw_fd()).as_str()).doing(doing)?.into();
                let stat = fstat(found).doing(doing)?;
                let undo = Undo::Linked { path: dir.join(base), file: Some((stat.st_dev, stat.st_ino)) };
                self.placed.push(guardian::note(&undo)?);
                renameat2(scratch, file, parent, base, RenameFlags::RENAME_NOREPLACE).doing(doing)
            }
            Err(e) => Err(e).doing(doing),
            Ok(there) => {
                let is_socket = there.st_mode & libc::S_IFMT == SFlag::S_IFSOCK.bits();
                if !is_socket || self.diag()?.is_bound(there.st_ino, there.st_dev) {
                    let what = if is_socket { "a socket that lives" } else { "another file" };
                    let what = format!("{what} has the name of the socket {}", path.display());
                    return Err(Error::state(what).with_help("remove it, or end the process that has it"));
                }
                renameat2(scratch, file, parent, base, RenameFlags::empty()).doing(doing)
            }
        }
    }

    fn diag(&mut self) -> Result<&Diag> {
        let diag = match self.diag.take() {
            Some(diag) => diag,
            None => Diag::read()?,
        };
        Ok(self.diag.insert(diag))
    }

    /// Takes away what was made for the moment.
    pub fn clear(&mut self) {
        while self.scratches.pop().is_some() {}
        self.diag = None;
    }

    /// Lets the names stand.
    pub fn keep(&mut self) {
        self.clear();
        self.placed.drain(..).for_each(Noted::keep);
    }
}

/// For a name: the directory in which it is bound, where its file will be, and the directories that must be there for
/// that, all relative to the root directory. A relative name is bound so deep that it stays below the root.
fn layout(name: &[u8]) -> (PathBuf, PathBuf, Vec<PathBuf>) {
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    let mut dirs = Vec::new();
    let mut at = PathBuf::new();
    if !name.starts_with(b"/") {
        for _ in parts.iter().filter(|part| **part == b"..") {
            at.push("d");
            dirs.push(at.clone());
        }
    }
    let start = at.clone();
    let (last, before) = parts.split_last().map_or((&b""[..], &[][..]), |(last, before)| (*last, before));
    for part in before {
        if *part == b".." {
            at.pop();
        } else {
            at.push(OsStr::from_bytes(part));
            dirs.push(at.clone());
        }
    }
    (start, at.join(OsStr::from_bytes(last)), dirs)
}

fn open_dir(at: impl AsFd, path: &Path) -> sys::Result<OwnedFd> {
    openat(at, path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

/// Runs `body` in a thread whose root directory and working directory are others.
fn in_root<T: Send>(
    root: BorrowedFd<'_>,
    start: &Path,
    body: impl FnOnce() -> sys::Result<T> + Send,
) -> sys::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)?;
            nix::unistd::fchdir(root)?;
            nix::unistd::chroot(".")?;
            nix::unistd::chdir(start)?;
            body()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_place_below_the_root() {
        let of = |name: &str| {
            let (start, file, dirs) = layout(name.as_bytes());
            (start.display().to_string(), file.display().to_string(), dirs.len())
        };
        assert_eq!(of("/run/a/s"), (String::new(), "run/a/s".to_owned(), 2));
        assert_eq!(of("s"), (String::new(), "s".to_owned(), 0));
        assert_eq!(of("./a/../s"), ("d".to_owned(), "d/s".to_owned(), 2));
        assert_eq!(of("../../s"), ("d/d".to_owned(), "s".to_owned(), 2));
        assert_eq!(of("/../../s"), (String::new(), "s".to_owned(), 0));
        assert_eq!(of(""), (String::new(), String::new(), 0));
    }

    #[test]
    fn names_stay_as_they_were_given_and_go_with_a_failed_restore() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::File::open("/").unwrap();
        let place = dir.path().join("there");
        for (name, keep) in [("gone/../rel", true), ("/nowhere/s\0", false)] {
            let mut names = Names::default();
            let fd = std::os::unix::net::UnixDatagram::unbound().unwrap();
            let path = place.as_os_str().as_bytes().to_vec();
            let reach = names.bind(root.as_fd(), fd.as_fd(), name.as_bytes(), Some(Place { path, perms: None }));
            let reach = reach.unwrap();
            let address = reach.address();
            let bound = fd.local_addr().unwrap();
            assert_eq!(bound.as_pathname().unwrap().as_os_str(), name.trim_end_matches('\0'));
            let other = std::os::unix::net::UnixDatagram::unbound().unwrap();
            socket::connect(other.as_fd(), &address).unwrap();
            if keep {
                names.keep();
            }
            drop(names);
            let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
            assert_eq!(left, ["there"], "the second replaced the first, which nobody has");
        }
        std::fs::remove_file(&place).unwrap();
    }
}
