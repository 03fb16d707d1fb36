//! Locks and leases on files: flock, POSIX ranges, OFD locks, leases. What is held survives, with its holder; who waits
//! for a lock waits again, because its call is made again. A lease that is being broken cannot be dumped.

use super::{BatchCall, Descriptor, DumpContext};
use crate::error::{Error, Result};
use crate::image::proto::FileLockEntry;
use crate::proc::locks::{Lock, LockKind, LockMode, LockState};
use crate::sys::kcmp::{What, kcmp};
use crate::sys::{Pid, file::range_lock};
use std::cmp::Ordering;
use std::collections::HashSet;

/// `file_lock_entry.flag`: FL_POSIX, FL_FLOCK, FL_LEASE, FL_OFDLCK of the kernel.
const POSIX: u32 = 1;
const FLOCK: u32 = 2;
const LEASE: u32 = 32;
const OFD: u32 = 1024;

/// Locks that were found.
#[derive(Debug, Default)]
pub struct Locks {
    /// The messages for filelocks.img.
    pub entries: Vec<FileLockEntry>,
    known: HashSet<Key>,
}

/// What a lock is: file, process (0 where the file itself holds it), flag, type and range.
type Key = (u32, i32, u32, u32, i64, i64);

impl Locks {
    /// Refuses locks whose holder is outside the tree: it shares a descriptor table with a process in it.
    pub fn check_holders(&self, tree: &HashSet<Pid>) -> Result<()> {
        match self.entries.iter().find(|lock| !tree.contains(&Pid::from_raw(lock.pid))) {
            None => Ok(()),
            Some(lock) => Err(Error::unsupported(
                format!("the lock on descriptor {} of process {}", lock.fd, lock.pid),
                "its holder is outside the tree",
            )),
        }
    }

    /// A lock belongs to its file and, if POSIX, to a table: the same one shows at every descriptor of the file in each
    /// table that has one.
    fn add(&mut self, file: u32, entry: FileLockEntry) {
        let pid = if entry.flag == POSIX { entry.pid } else { 0 };
        if self.known.insert((file, pid, entry.flag, entry.r#type, entry.start, entry.len)) {
            self.entries.push(entry);
        }
    }
}

/// Takes note of the locks that a descriptor of the process `pid` shows; `file` is the id of its open file description.
/// To be called for every descriptor of each table: the kernel shows POSIX locks only in the table that holds them.
pub fn dump(descriptor: &Descriptor, pid: Pid, file: u32, cx: &mut DumpContext<'_>) -> Result<()> {
    for lock in &descriptor.info.locks {
        if !cx.options.common.file_locks {
            let what = format!("{} holds a {}", descriptor.describe(), name(lock.kind));
            return Err(Error::state(what).with_help("use --file-locks (-l) to keep locks"));
        }
        let entry = entry(lock, descriptor, pid)?;
        cx.locks.add(file, entry);
    }
    Ok(())
}

fn name(kind: LockKind) -> &'static str {
    match kind {
        LockKind::Posix => "POSIX lock",
        LockKind::Ofd => "lock of its open file description (OFD)",
        LockKind::Flock => "lock by flock",
        LockKind::Lease => "lease",
        LockKind::Delegation => "delegation",
    }
}

fn entry(lock: &Lock, descriptor: &Descriptor, pid: Pid) -> Result<FileLockEntry> {
    let refuse =
        |reason: &str| Err(Error::unsupported(format!("{}: {}", descriptor.describe(), name(lock.kind)), reason));
    let flag = match lock.kind {
        LockKind::Posix => POSIX,
        LockKind::Ofd => OFD,
        LockKind::Flock => FLOCK,
        LockKind::Lease => LEASE,
        LockKind::Delegation => return refuse("delegations are not supported yet"),
    };
    if matches!(lock.state, LockState::Breaking | LockState::Breaker) {
        return refuse("somebody is breaking it")
            .map_err(|e| e.with_help("dump again when its holder has given it up"));
    }
    let r#type = match lock.mode {
        LockMode::Read => libc::F_RDLCK as u32,
        LockMode::Write => libc::F_WRLCK as u32,
        LockMode::Unlock => return refuse("it is being given up"),
    };
    let len = match lock.end {
        None => Some(0),
        Some(end) => end.checked_sub(lock.start).and_then(|len| i64::try_from(len).ok()?.checked_add(1)),
    };
    let (Ok(start), Some(len)) = (i64::try_from(lock.start), len) else {
        return refuse("its range cannot be read");
    };
    let pid = holder(lock, pid).as_raw();
    Ok(FileLockEntry { flag, r#type, pid, fd: descriptor.fd, start, len })
}

/// The process that is to set the lock again: who set it, where that is still one that has the table of `pid`
/// (F_GETLK tells others).
fn holder(lock: &Lock, pid: Pid) -> Pid {
    let shares = |other| kcmp(other, pid, What::Files, 0, 0).is_ok_and(|order| order == Ordering::Equal);
    if lock.pid.as_raw() > 0 && lock.pid != pid && shares(lock.pid) { lock.pid } else { pid }
}

/// The calls by which the process `pid` sets its locks again, when it has its descriptors. Locks of its open file
/// descriptions are among them: set by anybody else they would name him as their holder. After these calls the process
/// must not close any descriptor of a locked file: that would release its POSIX locks.
pub fn attach(entries: &[FileLockEntry], pid: Pid) -> Result<Vec<BatchCall>> {
    entries.iter().filter(|entry| entry.pid == pid.as_raw()).map(call).collect()
}

fn call(entry: &FileLockEntry) -> Result<BatchCall> {
    let invalid = |what: &str| Error::state(format!("a lock of process {} in the images has {what}", entry.pid));
    let fd = u64::try_from(entry.fd).map_err(|_| invalid("no descriptor"))?;
    let write = match i32::try_from(entry.r#type).unwrap_or(-1) {
        libc::F_RDLCK => false,
        libc::F_WRLCK => true,
        _ => return Err(invalid("no type")),
    };
    let doing = |what: &str| format!("{what} through descriptor {fd} of process {}", entry.pid);
    let plain = |nr, args: [u64; 3], what| {
        let [a, b, c] = args;
        BatchCall { nr, args: [a, b, c, 0, 0, 0], data: None, doing: doing(what) }
    };
    let range = |command: i32, what| {
        let mut call = plain(libc::SYS_fcntl, [fd, command as u64, 0], what);
        call.data = Some((2, range_lock(write, entry.start, entry.len)));
        call
    };
    // None of these waits: what was held before must be free.
    Ok(match entry.flag {
        POSIX => range(libc::F_SETLK, "set a POSIX lock"),
        OFD => range(libc::F_OFD_SETLK, "set an OFD lock"),
        FLOCK => {
            let how = if write { libc::LOCK_EX } else { libc::LOCK_SH };
            plain(libc::SYS_flock, [fd, (how | libc::LOCK_NB) as u64, 0], "set a lock by flock")
        }
        LEASE => plain(libc::SYS_fcntl, [fd, libc::F_SETLEASE as u64, u64::from(entry.r#type)], "take a lease"),
        _ => return Err(invalid("no kind")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::tests::{descriptor, options};
    use std::fs::File;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
    use std::os::unix::fs::OpenOptionsExt;

    /// Makes a call as a task's batch would.
    fn run(call: &BatchCall, fd: BorrowedFd<'_>) {
        let args = [fd.as_raw_fd() as u64, call.args[1], call.args[2]];
        let mut data = call.data.clone();
        crate::sys::file::run_for_test(call.nr, args, data.as_mut().map(|(i, bytes)| (*i, bytes.as_mut_slice())))
            .unwrap_or_else(|e| panic!("{}: {e}", call.doing));
    }

    /// Descriptors of a file. None may be closed while a POSIX lock is held: closing one releases it.
    fn copies<const N: usize>(file: &File) -> [Descriptor; N] {
        std::array::from_fn(|_| descriptor(file.try_clone().unwrap().into()))
    }

    /// The locks as the kernel shows them, without their numbers and holders.
    fn shown(descriptor: &Descriptor) -> Vec<(u64, Option<u64>, LockKind, LockMode)> {
        let mut all: Vec<_> = descriptor.info.locks.iter().map(|l| (l.start, l.end, l.kind, l.mode)).collect();
        all.sort_by_key(|lock| (lock.0, lock.1));
        all
    }

    #[test]
    fn locks_come_back_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(dir.path().join("a"));
        let me = nix::unistd::getpid();
        let file = open().unwrap();
        for (flag, write, start, len) in
            [(OFD, true, 5, 10), (POSIX, false, 100, 0), (OFD, false, 50, 1), (FLOCK, true, 0, 0)]
        {
            let entry = FileLockEntry { flag, r#type: u32::from(write), pid: me.as_raw(), fd: 0, start, len };
            run(&call(&entry).unwrap(), file.as_fd());
        }
        let options = options(true);
        let mut cx = DumpContext::new(&options);
        // A second descriptor of the same file shows the same locks.
        let held: [_; 2] = copies(&file);
        held.iter().for_each(|held| dump(held, me, 7, &mut cx).unwrap());
        let before = shown(&held[0]);
        assert_eq!(before.len(), 4, "{before:?}");
        assert_eq!(cx.locks.entries.len(), 4);
        drop((held, file));

        let file = open().unwrap();
        assert_eq!(shown(&copies::<1>(&file)[0]), []);
        assert_eq!(attach(&cx.locks.entries, Pid::from_raw(1)).unwrap(), []);
        for call in attach(&cx.locks.entries, me).unwrap() {
            run(&call, file.as_fd());
        }
        assert_eq!(shown(&copies::<1>(&file)[0]), before);
    }

    #[test]
    fn a_lease_comes_back_and_one_that_breaks_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"x").unwrap();
        let file = File::open(&path).unwrap();
        let lease = FileLockEntry { flag: LEASE, r#type: 0, pid: 0, fd: 0, start: 0, len: 0 };
        run(&call(&lease).unwrap(), file.as_fd());
        let options = options(true);
        let mut cx = DumpContext::new(&options);
        dump(&descriptor(file.try_clone().unwrap().into()), Pid::this(), 1, &mut cx).unwrap();
        let found: Vec<_> = cx.locks.entries.iter().map(|e| (e.flag, e.r#type)).collect();
        assert_eq!(found, [(LEASE, 0)]);
        // SIGIO, which breaking sends, is fatal by default; SIGURG is not.
        crate::sys::file::set_io_signal(file.as_fd(), libc::SIGURG).unwrap();
        let busy = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
        assert!(busy.is_err());
        let error = dump(&descriptor(file.try_clone().unwrap().into()), Pid::this(), 1, &mut cx).unwrap_err();
        assert!(error.to_string().contains("breaking"), "{error}");
    }

    #[test]
    fn without_the_option_a_lock_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        run(&call(&FileLockEntry { flag: FLOCK, r#type: 0, pid: 0, fd: 0, start: 0, len: 0 }).unwrap(), file.as_fd());
        let options = options(false);
        let mut cx = DumpContext::new(&options);
        let error = dump(&descriptor(file.into()), Pid::this(), 1, &mut cx).unwrap_err();
        assert!(error.help().unwrap().contains("--file-locks"), "{error}");
    }

    #[test]
    fn bad_entries_are_errors() {
        let good = FileLockEntry { flag: OFD, r#type: 1, pid: 5, fd: 3, start: 0, len: 0 };
        assert!(call(&good).is_ok());
        for bad in [
            FileLockEntry { flag: 3, ..good },
            FileLockEntry { r#type: 2, ..good },
            FileLockEntry { r#type: u32::MAX, ..good },
            FileLockEntry { fd: -1, ..good },
        ] {
            assert!(call(&bad).is_err(), "{bad:?}");
        }
    }
}
