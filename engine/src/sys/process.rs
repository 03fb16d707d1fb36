//! The engine's own processes: fork(2), what a parent's death does, and the signals that ask for an end.

use super::{Errno, Pid, RemoteAddr, Result, check};
use std::sync::atomic::{AtomicI32, Ordering};

/// The two that a fork returns in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The new process.
    Child,
    /// The old one, with the pid of the new.
    Parent(Pid),
}

/// The last signal that asked for an end; 0 for none.
static ASKED_BY: AtomicI32 = AtomicI32::new(0);
/// Who is to hear of it as well; 0 for nobody.
static PASS_TO: AtomicI32 = AtomicI32::new(0);

/// Signals that ask for an end.
const ENDING: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Where the vDSO of this process is. `None` where the kernel gives none.
pub fn own_vdso() -> Option<RemoteAddr> {
    // SAFETY: only reads the auxiliary vector.
    let at = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    (at != 0).then_some(RemoteAddr(at))
}

/// Forks a process that has one thread. The child gets SIGTERM when the thread that calls this is gone; the parent
/// passes signals that ask for an end on to the child.
pub fn fork() -> Result<Forked> {
    if std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() != 1) {
        return Err(Errno::EBUSY);
    }
    let me = std::process::id() as i32;
    // SAFETY: there is no other thread whose locks the child could find held; the signal sets are filled in before use.
    unsafe {
        let (mut all, mut old) = (std::mem::zeroed::<libc::sigset_t>(), std::mem::zeroed::<libc::sigset_t>());
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, &mut old);
        let child = libc::fork();
        if child == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            if libc::getppid() != me {
                crate::cancel::request();
            }
        } else if child > 0 {
            PASS_TO.store(child, Ordering::SeqCst);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &old, std::ptr::null_mut());
        match check(child.into())? {
            0 => Ok(Forked::Child),
            child => Ok(Forked::Parent(Pid::from_raw(child as i32))),
        }
    }
}

/// Signals are no longer passed on: the child is gone.
pub fn pass_no_more() {
    PASS_TO.store(0, Ordering::SeqCst);
}

/// Has the signals that ask for an end cancel what is being done; those that are ignored stay ignored.
pub fn heed_signals() -> Result<()> {
    let handler: extern "C" fn(i32) = asked;
    set_actions(handler as usize, |old| old == libc::SIG_DFL)
}

/// Gives these signals back their default action.
pub fn unheed_signals() -> Result<()> {
    let handler: extern "C" fn(i32) = asked;
    set_actions(libc::SIG_DFL, |old| old == handler as usize)
}

/// The signal that asked for an end, if one did.
pub fn asked_by() -> Option<i32> {
    Some(ASKED_BY.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
}

fn set_actions(handler: usize, replaces: impl Fn(usize) -> bool) -> Result<()> {
    for signal in ENDING {
        // SAFETY: both structs are whole; the handler is async-signal-safe.
        unsafe {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            check(libc::sigaction(signal, std::ptr::null(), &mut action).into())?;
            if replaces(action.sa_sigaction) {
                action = std::mem::zeroed();
                action.sa_sigaction = handler;
                action.sa_flags = libc::SA_RESTART;
                check(libc::sigaction(signal, &action, std::ptr::null_mut()).into())?;
            }
        }
    }
    Ok(())
}

extern "C" fn asked(signal: i32) {
    ASKED_BY.store(signal, Ordering::SeqCst);
    crate::cancel::request();
    let child = PASS_TO.load(Ordering::SeqCst);
    if child != 0 {
        let errno = Errno::last_raw();
        // SAFETY: integers; kill is async-signal-safe.
        unsafe { libc::kill(child, signal) };
        Errno::set_raw(errno);
    }
}

/// An attribute of the calling thread or process that prctl(2) tells as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// PR_GET_THP_DISABLE.
    HugePagesOff,
    /// PR_GET_MEMORY_MERGE (Linux 6.4).
    MergesPages,
    /// PR_MCE_KILL_GET.
    MemoryFailure,
    /// PR_GET_SECUREBITS.
    SecureBits,
    /// PR_GET_MDWE (Linux 6.3).
    DenyWriteExecute,
}

/// Our own value of an attribute; none where the kernel does not know it.
pub fn attribute(which: Attribute) -> Option<u64> {
    const PR_GET_MDWE: i32 = 66;
    const PR_GET_MEMORY_MERGE: i32 = 68;
    let operation = match which {
        Attribute::HugePagesOff => libc::PR_GET_THP_DISABLE,
        Attribute::MergesPages => PR_GET_MEMORY_MERGE,
        Attribute::MemoryFailure => libc::PR_MCE_KILL_GET,
        Attribute::SecureBits => libc::PR_GET_SECUREBITS,
        Attribute::DenyWriteExecute => PR_GET_MDWE,
    };
    // SAFETY: these operations take no address.
    let value = unsafe { libc::prctl(operation, 0usize, 0usize, 0usize, 0usize) };
    u64::try_from(value).ok()
}
