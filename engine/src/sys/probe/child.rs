//! Child processes of the probes: what a probe changes dies with one of them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// A probe that takes longer than this is stuck, seconds.
const LIMIT: u32 = 10;

/// The end of a child, in all cases.
struct Reaped(Pid);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It may have ended by itself; what matters is that it is gone.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, Some(WaitPidFlag::__WALL));
    }
}

/// Runs `probe` in a child and passes its answer on; a child that dies is an answer too.
pub fn in_child(probe: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let (mut reader, mut writer) = pipe().map_err(|e| format!("pipe: {e}"))?;
    // SAFETY: the child runs the probe, which takes no lock of ours, and leaves by _exit.
    match unsafe { fork() }.map_err(|e| format!("fork: {e}"))? {
        ForkResult::Child => {
            drop(reader);
            arm();
            // A silent end is an answer: the parent reads nothing then.
            let _ = match probe() {
                Ok(()) => writer.write_all(b"+"),
                Err(why) => writer.write_all(format!("-{why}").as_bytes()),
            };
            // SAFETY: nothing of the parent's is to be cleaned up by the child.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let _reaped = Reaped(child);
            let mut answer = String::new();
            reader.read_to_string(&mut answer).map_err(|e| format!("answer of the probe: {e}"))?;
            match answer.strip_prefix('-') {
                Some(why) => Err(why.to_owned()),
                None if answer == "+" => Ok(()),
                None => Err("the probe died".to_owned()),
            }
        }
    }
}

/// A child that is stopped under ptrace by the calling thread; killed when dropped.
pub struct Tracee {
    child: Reaped,
}

/// Starts a child that runs `setup` and then waits, seizes it with `options` and stops it.
pub fn with_tracee(setup: impl FnOnce() -> Result<(), Errno>, options: i32) -> Result<Tracee, String> {
    let (mut reader, mut writer) = pipe().map_err(|e| format!("pipe: {e}"))?;
    // SAFETY: the child runs the setup, which takes no lock of ours, and never returns.
    match unsafe { fork() }.map_err(|e| format!("fork: {e}"))? {
        ForkResult::Child => {
            drop(reader);
            arm();
            let _ = match setup() {
                Ok(()) => writer.write_all(b"+"),
                Err(e) => writer.write_all(format!("{e}").as_bytes()),
            };
            drop(writer);
            loop {
                nix::unistd::pause();
            }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let child = Reaped(child);
            let mut answer = String::new();
            reader.read_to_string(&mut answer).map_err(|e| format!("answer of the probe: {e}"))?;
            if answer != "+" {
                return Err(if answer.is_empty() { "the probe died".to_owned() } else { answer });
            }
            seize(child.0, options).map_err(|e| format!("PTRACE_SEIZE: {e}"))?;
            nix::sys::ptrace::interrupt(child.0).map_err(|e| format!("PTRACE_INTERRUPT: {e}"))?;
            match waitpid(child.0, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)) => Ok(Tracee { child }),
                other => Err(format!("the tracee did not stop: {other:?}")),
            }
        }
    }
}

fn seize(pid: Pid, options: i32) -> Result<(), Errno> {
    // SAFETY: PTRACE_SEIZE takes numbers only.
    let done = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid.as_raw(), 0usize, options as usize) };
    Errno::result(done).map(drop)
}

impl Tracee {
    /// The child.
    pub fn pid(&self) -> Pid {
        self.child.0
    }

    /// PTRACE_GET_RSEQ_CONFIGURATION (5.13): the size of the answer.
    pub fn rseq_configuration(&self) -> Result<i64, Errno> {
        const PTRACE_GET_RSEQ_CONFIGURATION: u32 = 0x420f;
        let mut answer = [0u64; 3];
        self.request(PTRACE_GET_RSEQ_CONFIGURATION, size_of_val(&answer), &mut answer)
    }

    /// PTRACE_SECCOMP_GET_FILTER (4.4): the number of instructions of the first filter.
    pub fn seccomp_filter(&self) -> Result<i64, Errno> {
        const PTRACE_SECCOMP_GET_FILTER: u32 = 0x420c;
        let mut instructions = [0u64; 8];
        self.request(PTRACE_SECCOMP_GET_FILTER, 0, &mut instructions)
    }

    /// PTRACE_PEEKSIGINFO (3.10): how many signals are queued.
    pub fn queued_signals(&self) -> Result<i64, Errno> {
        const PTRACE_PEEKSIGINFO: u32 = 0x4209;
        let arguments = libc::ptrace_peeksiginfo_args { off: 0, flags: 0, nr: 1 };
        let mut siginfo = [0u64; 16];
        self.request(PTRACE_PEEKSIGINFO, (&raw const arguments) as usize, &mut siginfo)
    }

    /// PTRACE_GETREGSET of the note type `note`: how many bytes there are.
    pub fn register_set(&self, note: u32) -> Result<usize, Errno> {
        const PTRACE_GETREGSET: u32 = 0x4204;
        let mut registers = [0u64; 128];
        let mut vector = [registers.as_mut_ptr() as u64, size_of_val(&registers) as u64];
        self.request(PTRACE_GETREGSET, note as usize, &mut vector)?;
        Ok(vector[1] as usize)
    }

    /// Writes a word into the tracee's `struct user`, which describes its registers to debuggers.
    pub fn poke_user(&self, offset: usize, word: usize) -> Result<(), Errno> {
        // SAFETY: this changes a register of the tracee only.
        let done = unsafe { libc::ptrace(libc::PTRACE_POKEUSER, self.pid().as_raw(), offset, word) };
        Errno::result(done).map(drop)
    }

    /// Writes a word into the tracee's memory whatever its protection.
    pub fn poke(&self, address: usize, word: usize) -> Result<(), Errno> {
        // SAFETY: this changes the tracee's memory only.
        let done = unsafe { libc::ptrace(libc::PTRACE_POKEDATA, self.pid().as_raw(), address, word) };
        Errno::result(done).map(drop)
    }

    /// A request whose answer has room in `data`, which each caller makes large enough for its request.
    fn request(&self, request: u32, address: usize, data: &mut [u64]) -> Result<i64, Errno> {
        // SAFETY: the callers above choose requests that write no more than `data` holds.
        let done = unsafe { libc::ptrace(request as _, self.pid().as_raw(), address, data.as_mut_ptr()) };
        Errno::result(done)
    }
}

/// Makes a child with a pid of our choice, which ends at once (clone3 with set_tid, 5.5).
pub fn clone_with_tid() -> Result<(), Errno> {
    // A pid that has just been used is free and not soon given to anybody else.
    // SAFETY: the child does nothing but end.
    let free = match unsafe { fork() }? {
        // SAFETY: as above.
        ForkResult::Child => unsafe { libc::_exit(0) },
        ForkResult::Parent { child } => child,
    };
    waitpid(free, None)?;
    let tid = [free.as_raw()];
    let arguments = crate::sys::clone::CloneArgs {
        exit_signal: libc::SIGCHLD as u64,
        set_tid: tid.as_ptr() as u64,
        set_tid_size: 1,
        ..Default::default()
    };
    // SAFETY: without CLONE_VM the child has memory of its own, and it does nothing but end.
    let made = unsafe {
        let made = libc::syscall(libc::SYS_clone3, &arguments, size_of_val(&arguments));
        if made == 0 {
            libc::_exit(0);
        }
        made
    };
    let made = Pid::from_raw(Errno::result(made)? as i32);
    waitpid(made, Some(WaitPidFlag::__WALL))?;
    if made == free { Ok(()) } else { Err(Errno::EINVAL) }
}

/// The default action of SIGALRM ends a child that is stuck.
fn arm() {
    nix::unistd::alarm::set(LIMIT);
}

fn pipe() -> Result<(File, File), Errno> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    Errno::result(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both have just been made for us.
    Ok(unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) })
}
