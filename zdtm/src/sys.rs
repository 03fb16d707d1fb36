//! Every unsafe line of the harness: the gate's shared word, kcmp, and what a process does before it becomes a case.

use std::cmp::Ordering as Order;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

const PAGE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// A word of a file, mapped shared: a futex between the processes that map it.
pub struct Word {
    at: NonNull<AtomicU32>,
}

impl Word {
    /// Maps the first word of `file`, which must be at least a page long and must stay so: a file truncated later
    /// makes every access a SIGBUS.
    pub fn map(file: &File) -> io::Result<Word> {
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing of ours.
        let at = unsafe { mmap(None, PAGE, prot, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Word { at: at.cast() })
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the mapping is page aligned, a page long and lives as long as self.
        unsafe { self.at.as_ref() }
    }

    /// The word's value.
    pub fn load(&self) -> u32 {
        self.word().load(Ordering::SeqCst)
    }

    /// Sets the word and wakes all who wait for it.
    pub fn store(&self, value: u32) {
        self.word().store(value, Ordering::SeqCst);
        // SAFETY: the word is a valid futex; FUTEX_WAKE reads no further argument.
        unsafe { libc::syscall(libc::SYS_futex, self.word().as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }

    /// Waits until the word is no longer `value`, is woken, or `limit` has passed.
    pub fn wait(&self, value: u32, limit: Duration) {
        let time =
            libc::timespec { tv_sec: limit.as_secs() as libc::time_t, tv_nsec: limit.subsec_nanos() as libc::c_long };
        // SAFETY: the word is a valid futex and `time` outlives the call.
        unsafe { libc::syscall(libc::SYS_futex, self.word().as_ptr(), libc::FUTEX_WAIT, value, &raw const time) };
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, a page long, and no reference to it is left. Failure leaves a page mapped.
        let _ = unsafe { munmap(self.at.cast(), PAGE.get()) };
    }
}

/// What kcmp(2) compares.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Kcmp {
    /// The open file descriptions behind two descriptors.
    File = 0,
    /// Address spaces.
    Vm = 1,
    /// Descriptor tables.
    Files = 2,
    /// Root, working directory and umask.
    Fs = 3,
    /// Signal actions.
    Sighand = 4,
    /// I/O contexts.
    Io = 5,
    /// Lists of semaphore undo operations.
    Sysvsem = 6,
}

/// Compares kernel objects of two tasks; `Equal` means one and the same, the other results order distinct objects.
/// The descriptors matter to [`Kcmp::File`] only. Needs CONFIG_KCMP.
pub fn kcmp(kind: Kcmp, a: (Pid, RawFd), b: (Pid, RawFd)) -> io::Result<Order> {
    let (pid_a, pid_b) = (libc::c_long::from(a.0.as_raw()), libc::c_long::from(b.0.as_raw()));
    let (fd_a, fd_b) = (libc::c_long::from(a.1), libc::c_long::from(b.1));
    // SAFETY: kcmp takes integers only.
    let got = unsafe { libc::syscall(libc::SYS_kcmp, pid_a, pid_b, kind as libc::c_long, fd_a, fd_b) };
    match got {
        0 => Ok(Order::Equal),
        1 => Ok(Order::Less),
        2 => Ok(Order::Greater),
        -1 => Err(io::Error::last_os_error()),
        other => Err(io::Error::other(format!("kcmp answered {other}"))),
    }
}

/// Gives every signal its default action and blocks none: exec keeps what is ignored and what is blocked.
pub fn fresh_signals() -> io::Result<()> {
    // Zeros are SIG_DFL with no flags and an empty mask in every layout of the kernel's structure. The C library's own
    // call refuses the signals that it uses itself, which a caller may have ignored all the same.
    let default = [0u64; 8];
    for signal in (1..=64).filter(|s| ![libc::SIGKILL, libc::SIGSTOP].contains(s)) {
        let (old, set_size) = (std::ptr::null_mut::<u64>(), size_of::<u64>());
        // SAFETY: `default` outlives the call and is larger than the structure; SIG_DFL runs no code of ours.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, set_size) };
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Marks all descriptors from `first` on to be closed by exec (kernel 5.11).
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    let flags = libc::c_long::from(libc::CLOSE_RANGE_CLOEXEC);
    let (from, to) = (libc::c_long::from(first), libc::c_long::from(u32::MAX));
    // SAFETY: marking descriptors close-on-exec takes none from its owner.
    match unsafe { libc::syscall(libc::SYS_close_range, from, to, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the kernel has a system call that refuses arguments of nothing but ones, flags above all.
pub fn has_call(number: libc::c_long) -> bool {
    let none: libc::c_long = -1;
    // SAFETY: no address and no descriptor is −1, and no set of flags that a kernel takes.
    let failed = unsafe { libc::syscall(number, none, none, none, none, none, none) } == -1;
    !failed || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// Collects a child that ended: its pid and status, none while (without `block`) all live on.
///
/// Not the standard library's or nix's: the one waits for a single child, the other fails on real-time signals.
pub fn wait_any(block: bool) -> io::Result<Option<(i32, ExitStatus)>> {
    let mut status = 0;
    let flags = if block { 0 } else { libc::WNOHANG };
    // SAFETY: `status` is a valid place for an int.
    match unsafe { libc::waitpid(-1, &raw mut status, flags) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Some((pid, ExitStatus::from_raw(status)))),
    }
}

/// A pidfd of one thread, ours (PIDFD_THREAD, Linux 6.9), closed again.
pub fn pidfd_of_thread() -> io::Result<()> {
    // SAFETY: nobody else knows the descriptor that the call makes.
    let made = unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), libc::O_EXCL) };
    nix::errno::Errno::result(made).map_err(io::Error::from)?;
    // SAFETY: as above.
    drop(unsafe { OwnedFd::from_raw_fd(made as RawFd) });
    Ok(())
}

/// Has a command run with attributes that differ from the defaults, where every process can give them up again.
pub fn make_odd(command: &mut Command) {
    // SAFETY: the closure makes system calls only.
    unsafe { command.pre_exec(take_odd_attributes) };
}

fn take_odd_attributes() -> io::Result<()> {
    const PR_SET_MEMORY_MERGE: i32 = 67;
    const IOPRIO_WHO_PROCESS: i32 = 1;
    const BEST_EFFORT_7: i32 = 2 << 13 | 7;
    let one = 1usize;
    let soft = |resource, soft| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: one valid structure for both calls.
        unsafe {
            libc::getrlimit(resource, &mut limit);
            limit.rlim_cur = soft;
            libc::setrlimit(resource, &limit)
        }
    };
    let ignored = [libc::SIG_IGN as u64, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: integers, and structures that outlive their calls. Kernels that lack a setting refuse it.
    unsafe {
        libc::personality((libc::UNAME26 | libc::ADDR_COMPAT_LAYOUT) as libc::c_ulong);
        libc::prctl(libc::PR_SET_THP_DISABLE, one, 0usize, 0usize, 0usize);
        libc::prctl(PR_SET_MEMORY_MERGE, one, 0usize, 0usize, 0usize);
        libc::prctl(libc::PR_MCE_KILL, libc::PR_MCE_KILL_SET, libc::PR_MCE_KILL_EARLY, 0usize, 0usize);
        libc::prctl(libc::PR_SET_TIMERSLACK, 77_777usize);
        libc::prctl(libc::PR_SET_SECUREBITS, libc::SECBIT_NO_SETUID_FIXUP as usize);
        // The last is one that the C library takes for itself where there are threads.
        for signal in [libc::SIGHUP, libc::SIGUSR2, 33] {
            libc::syscall(libc::SYS_rt_sigaction, signal, ignored.as_ptr(), std::ptr::null_mut::<u64>(), 8);
        }
        libc::setpriority(libc::PRIO_PROCESS, 0, 5);
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, BEST_EFFORT_7);
        libc::umask(0o077);
        soft(libc::RLIMIT_NOFILE, 300);
        soft(libc::RLIMIT_CORE, 0);
    }
    let mut blocked = SigSet::empty();
    blocked.add(nix::sys::signal::Signal::SIGUSR1);
    blocked.thread_set_mask()?;
    Ok(())
}
