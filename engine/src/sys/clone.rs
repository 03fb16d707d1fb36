//! Creating the root of a restored tree: clone3(2) with a chosen pid, and the exec of the seed.

use super::{Errno, Pid, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd};
use zerocopy::{Immutable, IntoBytes};

/// `struct clone_args` of clone3(2), version 2 (88 bytes).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, IntoBytes, Immutable)]
#[allow(missing_docs)]
pub struct CloneArgs {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

const _: () = assert!(size_of::<CloneArgs>() == 88);

/// Whose child a new process becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// Ours.
    Engine,
    /// Our own parent's.
    OfEngine,
    /// Of whoever takes orphans: it keeps that parent when we end.
    OfOrphans,
}

/// Clones a child with the pid `pid` that executes the ELF file `program` once a byte can be read from `start`, and
/// ends when nobody holds `starter`, the other end of that pipe, any more.
/// `namespaces` are the CLONE_NEW* bits of those that it is born into.
pub fn spawn_seed(
    pid: Pid,
    program: BorrowedFd<'_>,
    gate: (BorrowedFd<'_>, BorrowedFd<'_>),
    parent: Parent,
    namespaces: u64,
) -> Result<Pid> {
    if parent != Parent::OfOrphans {
        return clone_seed(pid, program, gate, parent, namespaces);
    }
    let args = CloneArgs { exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
    // SAFETY: clone3 without CLONE_VM is a fork. The child makes only async-signal-safe calls and never returns.
    let between = unsafe {
        match libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) {
            -1 => return Err(Errno::last()),
            0 => {
                libc::_exit(clone_seed(pid, program, gate, parent, namespaces).map_or_else(|errno| errno as i32, |_| 0))
            }
            between => Pid::from_raw(between as i32),
        }
    };
    use nix::sys::wait::{WaitStatus, waitpid};
    loop {
        return match waitpid(between, None) {
            Err(Errno::EINTR) => continue,
            Ok(WaitStatus::Exited(_, 0)) => Ok(pid),
            Ok(WaitStatus::Exited(_, errno)) => Err(Errno::from_raw(errno)),
            Ok(_) => Err(Errno::ECHILD),
            Err(e) => Err(e),
        };
    }
}

/// The child runs nothing but close(2), read(2), execveat(2) and _exit(2) on its copy of our memory.
fn clone_seed(
    pid: Pid,
    program: BorrowedFd<'_>,
    (start, starter): (BorrowedFd<'_>, BorrowedFd<'_>),
    parent: Parent,
    namespaces: u64,
) -> Result<Pid> {
    let set_tid: libc::pid_t = pid.as_raw();
    let sibling = parent == Parent::OfEngine;
    let args = CloneArgs {
        flags: namespaces | if sibling { libc::CLONE_PARENT as u64 } else { 0 },
        exit_signal: if sibling { 0 } else { libc::SIGCHLD as u64 },
        set_tid: &raw const set_tid as u64,
        set_tid_size: 1,
        ..CloneArgs::default()
    };
    let none: [*const libc::c_char; 1] = [std::ptr::null()];
    let (program, start, starter) = (program.as_raw_fd(), start.as_raw_fd(), starter.as_raw_fd());
    // SAFETY: clone3 without CLONE_VM is a fork: the child has its own copy of this stack and memory. It makes only
    // async-signal-safe calls and never returns.
    unsafe {
        match libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) {
            -1 => Err(Errno::last()),
            0 => {
                // Its own copy would keep it waiting for an engine that was killed.
                libc::close(starter);
                let mut byte = 0u8;
                if libc::read(start, (&raw mut byte).cast(), 1) == 1 {
                    let empty = c"".as_ptr();
                    libc::syscall(
                        libc::SYS_execveat,
                        program,
                        empty,
                        none.as_ptr(),
                        none.as_ptr(),
                        libc::AT_EMPTY_PATH,
                    );
                }
                libc::_exit(127)
            }
            child => Ok(Pid::from_raw(child as i32)),
        }
    }
}

/// Makes this process the one that orphans below it are given to (PR_SET_CHILD_SUBREAPER).
pub fn become_subreaper() -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }.into()).map(drop)
}

/// A process of ours that does nothing: it has a pid, and so files in /proc. It dies with this value, or with us.
#[derive(Debug)]
pub struct Standin(Option<Pid>);

impl Standin {
    /// Starts it, with this pid if one is given; EEXIST if that is taken.
    pub fn new(pid: Option<Pid>) -> Result<Standin> {
        let set_tid: libc::pid_t = pid.map_or(0, Pid::as_raw);
        // No exit signal: nobody but Standin::end is to hear of it.
        let mut args = CloneArgs::default();
        if pid.is_some() {
            (args.set_tid, args.set_tid_size) = (&raw const set_tid as u64, 1);
        }
        let parent = nix::unistd::getpid().as_raw();
        // SAFETY: as in spawn_seed: a fork whose child makes only async-signal-safe calls and never returns.
        unsafe {
            match libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) {
                -1 => Err(Errno::last()),
                0 => {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                    // We may have died before that.
                    while libc::getppid() == parent {
                        libc::pause();
                    }
                    libc::_exit(0)
                }
                child => Ok(Standin(Some(Pid::from_raw(child as i32)))),
            }
        }
    }

    /// Its pid.
    pub fn pid(&self) -> Pid {
        self.0.unwrap_or(Pid::from_raw(0))
    }

    /// Ends it: when this returns, it is gone.
    pub fn end(mut self) -> Result<()> {
        self.kill()
    }

    fn kill(&mut self) -> Result<()> {
        use nix::sys::wait::{WaitPidFlag, waitpid};
        let Some(pid) = self.0.take() else { return Ok(()) };
        nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL)?;
        loop {
            match waitpid(pid, Some(WaitPidFlag::__WALL)) {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
