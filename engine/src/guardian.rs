//! What outlives an engine that is killed, and is undone then: names that it made, where a socket is looked into, a
//! cgroup that it froze. Each change
//! is noted before it is made. In a dump of the command line the process that the user started keeps the log (it only
//! waits for the one that works); everywhere else a watcher is started with the first note.

use crate::error::{Doing, Error, Result};
use crate::sys::socket::{self, option};
use crate::sys::undo::{self, Action, Log};
use crate::sys::{Errno, Pid};
use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// Records of a log: each file that is linked needs one while the operation lasts.
const RECORDS: usize = 4096;

/// The log of this process and who executes it after our death.
struct Kept {
    log: Arc<Log>,
    /// The watcher; none where our parent keeps the log.
    watcher: Option<Pid>,
}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

fn kept() -> MutexGuard<'static, Option<Kept>> {
    KEPT.lock().unwrap_or_else(|e| e.into_inner())
}

/// What is undone when the engine fails or is killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// A name that will be made: it is removed again.
    Linked {
        /// The name.
        path: PathBuf,
        /// Device and inode of the file that will be linked, where it exists already. Only its name is then removed,
        /// and not that of a file that was there before.
        file: Option<(u64, u64)>,
    },
    /// A directory that will be made: it is removed again, if nothing is in it.
    Made {
        /// Its path.
        path: PathBuf,
    },
    /// A cgroup that will be frozen: it is thawed again.
    Frozen {
        /// Its file `cgroup.freeze` or `freezer.state`.
        file: PathBuf,
        /// The cgroup's version, 1 or 2.
        version: u8,
    },
    /// A cgroup that will be thawed: it is frozen again.
    Thawed {
        /// As above.
        file: PathBuf,
        /// As above.
        version: u8,
    },
}

impl Undo {
    fn parts(&self) -> (Action, Option<(u64, u64)>, &Path) {
        match self {
            Undo::Linked { path, file } => (Action::Unlink, *file, path),
            Undo::Made { path } => (Action::RemoveDir, None, path),
            Undo::Frozen { file, version: 2 } => (Action::WriteZero, None, file),
            Undo::Frozen { file, .. } => (Action::WriteThawed, None, file),
            Undo::Thawed { file, version: 2 } => (Action::WriteOne, None, file),
            Undo::Thawed { file, .. } => (Action::WriteFrozen, None, file),
        }
    }
}

/// A change that is noted. Dropping it undoes the change, whether it was made or not; [`Noted::keep`] lets it stand.
#[derive(Debug)]
#[must_use = "the change is undone at once"]
pub struct Noted {
    log: Arc<Log>,
    slot: Option<usize>,
}

impl Noted {
    /// Lets the change stand.
    pub fn keep(mut self) {
        if let Some(slot) = self.slot.take() {
            self.log.clear(slot);
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.log.undo(slot);
        }
    }
}

/// Notes a change that is about to be made. Paths are taken from the current directory and root directory.
///
/// # Errors
/// The path is too long, the log is full, or no watcher can be started: then the change must not be made.
pub fn note(change: &Undo) -> Result<Noted> {
    let (action, file, path) = change.parts();
    let doing = || format!("note that {} is to be undone", path.display());
    let absolute = std::path::absolute(path).doing(doing)?;
    let name = CString::new(absolute.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL).doing(doing)?;
    let log = log()?;
    let slot = log.put(action, file, &name).doing(doing).map_err(|e| match e {
        Error::Kernel { errno: Errno::ENOSPC, .. } => {
            Error::state(format!("more than {RECORDS} files would have to be linked"))
        }
        other => other,
    })?;
    Ok(Noted { log, slot: Some(slot) })
}

/// A socket whose SO_PEEK_OFF is about to be changed. Dropping it gives the socket the offset that it had.
#[derive(Debug)]
#[must_use = "the offset is given back at once"]
pub struct Lent<'a> {
    log: Arc<Log>,
    socket: BorrowedFd<'a>,
    offset: i32,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let _ = socket::set(self.socket, option::PEEK_OFF, self.offset);
        self.log.take_back();
    }
}

/// Notes the SO_PEEK_OFF of a socket, one at a time: should we be killed, it is set again, also where no process has a
/// descriptor of the socket.
///
/// # Errors
/// The socket has no such thing, or no watcher can be started: then it must not be changed.
pub fn lend(socket: BorrowedFd<'_>) -> crate::sys::Result<Lent<'_>> {
    let log = log().map_err(|_| Errno::ENOMEM)?;
    let offset = crate::sys::socket::get(socket, option::PEEK_OFF)?;
    log.lend(socket, offset)?;
    Ok(Lent { log, socket, offset })
}

/// Processes that live on together or not at all. Dropping it kills them.
#[derive(Debug)]
#[must_use = "the processes are killed at once"]
pub struct Together {
    log: Arc<Log>,
    slots: Vec<usize>,
}

impl Together {
    /// All of them are on their own now: nothing will be undone any more, from one instant to the next.
    pub fn done(mut self) {
        self.slots.clear();
        self.log.void();
        stand_down();
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        for slot in self.slots.drain(..) {
            self.log.undo(slot);
        }
    }
}

/// Notes processes that are about to be let go one after another: should we be killed half way, all are killed.
///
/// # Errors
/// No watcher can be started, or there are too many processes.
pub fn together(pids: impl Iterator<Item = Pid>) -> Result<Together> {
    let mut together = Together { log: log()?, slots: Vec::new() };
    for pid in pids {
        let slot = together.log.put(Action::Kill, Some((pid.as_raw() as u64, 0)), c"");
        together.slots.push(slot.doing(|| format!("note that process {pid} is not released yet"))?);
    }
    Ok(together)
}

/// The log; the first call starts a watcher.
fn log() -> Result<Arc<Log>> {
    let mut kept = kept();
    if let Some(kept) = &*kept {
        return Ok(kept.log.clone());
    }
    let log = Arc::new(Log::new(RECORDS).doing(|| "make the undo log")?);
    let watcher = log.watch().doing(|| "start the guardian")?;
    *kept = Some(Kept { log: log.clone(), watcher: Some(watcher) });
    Ok(log)
}

/// Makes the log before a fork: the parent, which keeps a share of it, executes it when the child is dead.
///
/// # Errors
/// The kernel has no memory.
pub fn share() -> Result<Arc<Log>> {
    let log = Arc::new(Log::new(RECORDS).doing(|| "make the undo log")?);
    *kept() = Some(Kept { log: log.clone(), watcher: None });
    Ok(log)
}

/// All is well and nothing is left to be undone: the watcher, if there is one, ends.
pub fn stand_down() {
    let Some(done) = kept().take() else { return };
    if let Some(watcher) = done.watcher {
        undo::end_watch(watcher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_is_noted_is_undone_unless_it_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let [gone, stays, other] = ["gone", "stays", "other"].map(|name| dir.path().join(name));
        for path in [&gone, &stays, &other] {
            fs::write(path, "x").expect("a file");
        }
        let linked = |path: &Path, file| Undo::Linked { path: path.to_owned(), file };
        let meta = fs::metadata(&gone).expect("a file");
        drop(note(&linked(&gone, Some((meta.dev(), meta.ino())))).expect("a note"));
        assert!(!gone.exists());
        note(&linked(&stays, None)).expect("a note").keep();
        assert!(stays.exists());
        drop(note(&linked(&other, Some((meta.dev(), meta.ino())))).expect("a note"));
        assert!(other.exists(), "the name of another file was removed");
        let freeze = dir.path().join("freezer.state");
        fs::write(&freeze, "").expect("a file");
        drop(note(&Undo::Frozen { file: freeze.clone(), version: 1 }).expect("a note"));
        assert_eq!(fs::read_to_string(&freeze).expect("a file"), "THAWED");
    }
}
