//! Calls by which the kernel remembers who made them (SO_PEERCRED), made by a process that exists for that alone.

use super::clone::CloneArgs;
use super::{Errno, Pid, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// PR_SET_SECUREBITS: a change of user ids takes no capabilities away.
const NO_SETUID_FIXUP: u64 = 1 << 2;

/// Who makes a connection, as the kernel tells its other end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Actor {
    /// The process; 0 for one that cannot be seen.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Operation<'a> {
    /// socketpair(2) of unix sockets of a type.
    Pair(i32),
    /// listen(2) with a backlog.
    Listen(BorrowedFd<'a>, i32),
    /// connect(2) to an address.
    Connect(BorrowedFd<'a>, Vec<u8>),
}

/// How new sockets are made: closed on exec, and never waiting.
pub const NEW: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

impl Operation<'_> {
    /// Makes the call; a pair is written to `pair`. Async-signal-safe.
    fn call(&self, pair: *mut i32) -> i64 {
        // SAFETY: `pair` has room for two descriptors, by the callers; addresses live as long as the operation.
        let done = unsafe {
            match self {
                Operation::Pair(kind) => libc::socketpair(libc::AF_UNIX, kind | NEW, 0, pair),
                Operation::Listen(fd, backlog) => libc::listen(fd.as_raw_fd(), *backlog),
                Operation::Connect(fd, address) => {
                    libc::connect(fd.as_raw_fd(), address.as_ptr().cast(), address.len() as libc::socklen_t)
                }
            }
        };
        if done < 0 { -(Errno::last_raw() as i64) } else { 0 }
    }
}

/// A pair that an operation made.
pub type Pair = Option<(OwnedFd, OwnedFd)>;

/// Makes the calls as this process.
pub fn here(operations: &[Operation<'_>]) -> Result<Vec<Pair>> {
    let mut results = vec![[0i64; 2]; operations.len()];
    for (operation, result) in operations.iter().zip(&mut results) {
        let mut pair = [-1; 2];
        *result = [operation.call(pair.as_mut_ptr()), i64::from(pair[0]) << 32 | i64::from(pair[1] as u32)];
    }
    outcome(operations, &results)
}

/// Makes the calls as a process with this pid, if one is given, and the ids of somebody. It shares our descriptors and is
/// gone when this returns.
///
/// # Errors
/// EEXIST: the pid is taken.
pub fn elsewhere(pid: Option<Pid>, whom: &Actor, operations: &[Operation<'_>]) -> Result<Vec<Pair>> {
    let bytes = operations.len() * size_of::<[i64; 2]>();
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes.max(1), protection, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: the mapping is zeroed, aligned and as long as that; nobody else refers to it but the child, which is gone
    // when it is read.
    let results = unsafe { std::slice::from_raw_parts_mut(at.cast::<[i64; 2]>(), operations.len()) };
    let done = run_in_child(pid, whom, operations, results).and_then(|()| outcome(operations, results));
    // SAFETY: the mapping made above; `results` is not used any more.
    unsafe { libc::munmap(at, bytes.max(1)) };
    done
}

fn run_in_child(pid: Option<Pid>, whom: &Actor, operations: &[Operation<'_>], results: &mut [[i64; 2]]) -> Result<()> {
    const NOT_DONE: i64 = -(libc::ECANCELED as i64);
    results.fill([NOT_DONE, 0]);
    let set_tid: libc::pid_t = pid.map_or(0, Pid::as_raw);
    let mut args = CloneArgs { flags: libc::CLONE_FILES as u64, ..CloneArgs::default() };
    if pid.is_some() {
        (args.set_tid, args.set_tid_size) = (&raw const set_tid as u64, 1);
    }
    // SAFETY: a fork, whose child makes only async-signal-safe calls on its copy of our memory and never returns; it
    // writes results into memory that it shares with us.
    let child = unsafe {
        match libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) {
            0 => {
                libc::prctl(libc::PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0);
                if libc::syscall(libc::SYS_setgroups, whom.groups.len(), whom.groups.as_ptr()) == 0
                    && libc::syscall(libc::SYS_setresgid, u32::MAX, whom.gid, u32::MAX) == 0
                    && libc::syscall(libc::SYS_setresuid, u32::MAX, whom.uid, u32::MAX) == 0
                {
                    for (operation, result) in operations.iter().zip(results.iter_mut()) {
                        let mut pair = [-1; 2];
                        result[0] = operation.call(pair.as_mut_ptr());
                        result[1] = i64::from(pair[0]) << 32 | i64::from(pair[1] as u32);
                    }
                }
                libc::_exit(0)
            }
            child => Pid::from_raw(check(child)? as i32),
        }
    };
    use nix::sys::wait::{WaitPidFlag, waitpid};
    loop {
        match waitpid(child, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Takes the descriptors that were made, and tells the first error.
fn outcome(operations: &[Operation<'_>], results: &[[i64; 2]]) -> Result<Vec<Pair>> {
    let mut made = Vec::with_capacity(results.len());
    let mut failed = None;
    for (operation, [result, pair]) in operations.iter().zip(results) {
        let is_pair = matches!(operation, Operation::Pair(_)) && *result == 0;
        made.push(is_pair.then(|| {
            // SAFETY: the kernel has just given this descriptor table these two.
            unsafe { (OwnedFd::from_raw_fd((pair >> 32) as i32), OwnedFd::from_raw_fd(*pair as i32)) }
        }));
        failed = failed.or((*result != 0).then(|| Errno::from_raw(-*result as i32)));
    }
    failed.map_or(Ok(made), Err)
}
