//! /proc/locks, and the `lock:` lines of fdinfo: POSIX and OFD locks, flocks, leases.

use nix::unistd::Pid;

use super::ProcDir;
use super::error::{ParseError, Result};
use super::text::{Line, Lines};

/// What sort of lock it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// fcntl F_SETLK: belongs to a process.
    Posix,
    /// fcntl F_OFD_SETLK: belongs to an open file description.
    Ofd,
    /// flock(2).
    Flock,
    /// fcntl F_SETLEASE.
    Lease,
    /// A delegation of the NFS server, or of F_SETDELEG.
    Delegation,
}

/// Whether the lock binds, and for a lease where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockState {
    /// Binds those who ask.
    Advisory,
    /// Binds everybody; until 5.14.
    Mandatory,
    /// A lease in force.
    Active,
    /// A lease somebody wants broken, and its holder has been told.
    Breaking,
    /// The one who breaks a lease and waits.
    Breaker,
}

/// What is locked against. For a lease that breaks: what it will become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// F_RDLCK, LOCK_SH.
    Read,
    /// F_WRLCK, LOCK_EX.
    Write,
    /// F_UNLCK: a lease on its way out.
    Unlock,
}

/// One lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The number before the colon. In /proc/locks waiters bear the number of the lock they wait for.
    pub id: u64,
    /// For one that waits (`->`) how deep it is in the queue, from 1; 0 for a lock that is held.
    pub waiting: u32,
    /// What sort of lock.
    pub kind: LockKind,
    /// Whether it binds.
    pub state: LockState,
    /// What it locks against.
    pub mode: LockMode,
    /// Its owner, or who set it; -1 for OFD locks, 0 when outside the pid namespace of the /proc mount.
    pub pid: Pid,
    /// Major and minor of the file system's device, and inode; `None` where the kernel no longer knows the file.
    pub file: Option<(u32, u32, u64)>,
    /// The first byte.
    pub start: u64,
    /// The last byte, inclusive; `None` for up to the end of the file.
    pub end: Option<u64>,
}

/// Reads all locks of the system that the pid namespace of `root` ([`ProcDir::root`]) shows.
pub fn read(root: &ProcDir, buf: &mut Vec<u8>) -> Result<Vec<Lock>> {
    root.read_with("locks", buf, parse)
}

/// Parses /proc/locks.
pub fn parse(text: &[u8]) -> Result<Vec<Lock>, ParseError> {
    Lines::new(text).map(|mut line| lock(&mut line)).collect()
}

/// Parses what follows `lock:` in fdinfo, or a line of /proc/locks.
pub(super) fn lock(line: &mut Line<'_>) -> Result<Lock, ParseError> {
    let id = line.dec("the number of a lock")?;
    line.expect(b":", "`:` after the number of a lock")?;
    let waiting = depth(line);
    let kind = kind(line)?;
    let state = state(line)?;
    let mode = mode(line)?;
    let pid = Pid::from_raw(line.int("the pid of a lock")?);
    let file = file(line)?;
    let start = line.dec("the first byte of a lock")?;
    line.blanks();
    let end = if line.skip(b"EOF") { None } else { Some(line.dec("the last byte of a lock, or EOF")?) };
    line.end()?;
    Ok(Lock { id, waiting, kind, state, mode, pid, file, start, end })
}

/// The arrow of a waiter is indented by one more blank a level.
fn depth(line: &mut Line<'_>) -> u32 {
    let mut ahead = line.clone();
    let mut blanks = 0u32;
    while ahead.skip(b" ") {
        blanks = blanks.saturating_add(1);
    }
    if ahead.skip(b"->") {
        *line = ahead;
        blanks.max(1)
    } else {
        0
    }
}

fn kind(line: &mut Line<'_>) -> Result<LockKind, ParseError> {
    let whole = line.clone();
    Ok(match line.word() {
        b"POSIX" => LockKind::Posix,
        b"OFDLCK" => LockKind::Ofd,
        b"FLOCK" => LockKind::Flock,
        b"LEASE" => LockKind::Lease,
        b"DELEG" => LockKind::Delegation,
        // A process blocked by a mandatory lock, until 5.14.
        b"ACCESS" => LockKind::Posix,
        _ => return Err(whole.error("POSIX, OFDLCK, FLOCK, LEASE or DELEG")),
    })
}

fn state(line: &mut Line<'_>) -> Result<LockState, ParseError> {
    let whole = line.clone();
    Ok(match line.word() {
        // *NOINODE*: a lock whose file is just going away.
        b"ADVISORY" | b"*NOINODE*" => LockState::Advisory,
        b"MANDATORY" => LockState::Mandatory,
        b"ACTIVE" => LockState::Active,
        b"BREAKING" => LockState::Breaking,
        b"BREAKER" => LockState::Breaker,
        _ => return Err(whole.error("ADVISORY, MANDATORY, ACTIVE, BREAKING or BREAKER")),
    })
}

fn mode(line: &mut Line<'_>) -> Result<LockMode, ParseError> {
    let whole = line.clone();
    Ok(match line.word() {
        b"READ" => LockMode::Read,
        b"WRITE" => LockMode::Write,
        b"UNLCK" => LockMode::Unlock,
        _ => return Err(whole.error("READ, WRITE or UNLCK")),
    })
}

fn file(line: &mut Line<'_>) -> Result<Option<(u32, u32, u64)>, ParseError> {
    line.blanks();
    if line.skip(b"<none>:0") {
        return Ok(None);
    }
    let major = line.hex("the device's major number in hexadecimal")?;
    line.expect(b":", "`:` between the device's numbers")?;
    let minor = line.hex("the device's minor number in hexadecimal")?;
    line.expect(b":", "`:` before the inode")?;
    Ok(Some((major, minor, line.dec("an inode")?)))
}
