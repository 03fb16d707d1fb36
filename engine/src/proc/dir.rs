//! A directory of /proc held open: the task it was opened for, never another one that got the same pid later.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, read};

use super::error::{ParseError, ProcError, Result};

/// The least room offered to one `read`, bytes: the files of one record (stat, status) fit into it.
const ROOM: usize = 8 << 10;
/// The most by which a buffer grows at a time, bytes: the kernel hands out about a page a call.
const GROWTH: usize = 256 << 10;

/// An O_PATH descriptor of /proc, /proc/PID or /proc/PID/task/TID. It proves that all files read through it belong
/// to one task: once that task is reaped they answer ESRCH, whoever has its pid by then.
#[derive(Debug)]
pub struct ProcDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl ProcDir {
    /// The directory of a process, or of a thread by its tid (which /proc does not list, but has).
    pub fn open(pid: Pid) -> Result<Self> {
        Self::open_path(PathBuf::from(format!("/proc/{pid}")))
    }

    /// The directory of the calling process.
    pub fn current() -> Result<Self> {
        Self::open_path(PathBuf::from("/proc/self"))
    }

    /// /proc itself, for the files of the whole system such as `locks`.
    pub fn root() -> Result<Self> {
        Self::open_path(PathBuf::from("/proc"))
    }

    fn open_path(path: PathBuf) -> Result<Self> {
        match open(&path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path }),
            Err(errno) => Err(ProcError::Io { what: "open", path, source: errno.into() }),
        }
    }

    /// The directory of a thread of this process, `task/TID`.
    pub fn thread(&self, tid: Pid) -> Result<Self> {
        let name = format!("task/{tid}");
        match openat(&self.fd, name.as_str(), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: self.path.join(name) }),
            Err(errno) => Err(self.failed("open", &name, errno)),
        }
    }

    /// The path this directory was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file below the directory for reading. `name` is relative: `maps`, `map_files/…`.
    pub fn open_file(&self, name: &str) -> Result<OwnedFd> {
        openat(&self.fd, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|errno| self.failed("open", name, errno))
    }

    /// Reads a whole file into `buf`, whose contents are replaced and whose allocation is reused.
    pub fn read(&self, name: &str, buf: &mut Vec<u8>) -> Result<()> {
        let file = self.open_file(name)?;
        read_all(file.as_fd(), buf).map_err(|errno| self.failed("read", name, errno))
    }

    /// Reads a whole file and hands it to `parse`.
    pub fn read_with<T>(
        &self,
        name: &str,
        buf: &mut Vec<u8>,
        parse: impl FnOnce(&[u8]) -> Result<T, ParseError>,
    ) -> Result<T> {
        self.read(name, buf)?;
        parse(buf).map_err(|source| ProcError::Parse { path: self.path.join(name), source })
    }

    /// The target of a symbolic link below the directory (`exe`, `fd/3`), as the kernel spells it.
    pub fn readlink(&self, name: &str) -> Result<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        readlinkat(&self.fd, name).map(OsStringExt::into_vec).map_err(|errno| self.failed("read the link", name, errno))
    }

    /// Reads a symbolic link and hands its target to `parse`.
    pub fn readlink_with<T>(&self, name: &str, parse: impl FnOnce(&[u8]) -> Result<T, ParseError>) -> Result<T> {
        let target = self.readlink(name)?;
        parse(&target).map_err(|source| ProcError::Parse { path: self.path.join(name), source })
    }

    /// The names in a directory below this one without `.` and `..`, in the kernel's order, each handed to `parse`.
    pub fn list<T>(&self, name: &str, parse: impl Fn(&[u8]) -> Result<T, ParseError>) -> Result<Vec<T>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir =
            Dir::openat(&self.fd, name, flags, Mode::empty()).map_err(|errno| self.failed("open", name, errno))?;
        let mut found = Vec::new();
        for entry in dir.iter() {
            let entry = entry.map_err(|errno| self.failed("list", name, errno))?;
            let file = entry.file_name().to_bytes();
            if file != b"." && file != b".." {
                found.push(parse(file).map_err(|source| ProcError::Parse { path: self.path.join(name), source })?);
            }
        }
        Ok(found)
    }

    fn failed(&self, what: &'static str, name: &str, errno: Errno) -> ProcError {
        ProcError::Io { what, path: self.path.join(name), source: errno.into() }
    }
}

impl AsFd for ProcDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn read_all(file: BorrowedFd<'_>, buf: &mut Vec<u8>) -> nix::Result<()> {
    let mut len = 0;
    buf.clear();
    loop {
        if buf.len() - len < ROOM {
            // Grown by what is there already, so that clearing new room costs little beside the kernel's formatting.
            buf.resize(len + len.clamp(ROOM, GROWTH), 0);
        }
        match read(file, &mut buf[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    buf.truncate(len);
    Ok(())
}
