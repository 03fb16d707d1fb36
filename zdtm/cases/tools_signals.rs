//! What cases of signals and timers share: signal sets as 64-bit masks, raw actions, raw signal information.

use crate::gate::{Verdict, check, fail};
use crate::tools_tasks::{Outcome, must, outcome};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The kernel's `struct sigaction`, which shows what the C library's hides: the restorer and the plain 64-bit mask.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    pub handler: usize,
    pub flags: u64,
    pub restorer: usize,
    pub mask: u64,
}

/// The raw `siginfo_t`.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Info(pub [u8; 128]);

impl std::fmt::Debug for Info {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "signal {} errno {} code {} {:02x?}", self.i32(0), self.i32(4), self.i32(8), &self.0[12..48])
    }
}

impl Info {
    /// Information as the kernel makes it for `sigqueue`.
    pub fn queued(signal: i32, code: i32, (pid, uid): (i32, u32), value: u64) -> Info {
        let mut info = Info([0; 128]);
        info.put(0, &signal.to_ne_bytes());
        info.put(8, &code.to_ne_bytes());
        info.put(16, &pid.to_ne_bytes());
        info.put(20, &uid.to_ne_bytes());
        info.put(24, &value.to_ne_bytes());
        info
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// The number at byte `at`: 0 signal, 4 errno, 8 code, 16 pid or timer id, 20 uid or overrun, 24 status or fd.
    pub fn i32(&self, at: usize) -> i32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[at..at + 4]);
        i32::from_ne_bytes(bytes)
    }

    /// The long number at byte `at`: 32 user time, 40 system time of a child.
    pub fn u64(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        u64::from_ne_bytes(bytes)
    }

    /// The value that came with the signal (`si_value`).
    pub fn value(&self) -> u64 {
        self.u64(24)
    }
}

/// The mask with the given signals.
pub fn mask(signals: &[i32]) -> u64 {
    signals.iter().fold(0, |set, s| set | 1 << (s - 1))
}

/// Changes this thread's mask (SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK) and returns the one before.
pub fn change_mask(how: c_int, set: u64) -> u64 {
    let mut old = 0u64;
    // SAFETY: both sets are valid 8-byte places; the call cannot fail with a valid `how`.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, &raw mut old, 8usize) };
    old
}

/// This thread's mask.
pub fn current_mask() -> u64 {
    change_mask(libc::SIG_BLOCK, 0)
}

/// The signals pending for this thread or its process.
pub fn pending() -> u64 {
    let mut set = 0u64;
    // SAFETY: `set` is a valid 8-byte place.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set, 8usize) };
    set
}

/// Takes a pending signal of `set`, waiting at most `patience`; None where none came.
pub fn take(set: u64, patience: Duration) -> Verdict<Option<Info>> {
    let mut info = Info([0; 128]);
    let limit = libc::timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
    loop {
        // SAFETY: set, info and limit are valid places of the sizes that the kernel expects.
        let got = outcome(unsafe {
            libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, &raw mut info, &raw const limit, 8usize)
        });
        match got {
            (-1, libc::EAGAIN) => return Ok(None),
            (-1, libc::EINTR) => {}
            (-1, errno) => return fail(format!("rt_sigtimedwait failed with errno {errno}")),
            _ => return Ok(Some(info)),
        }
    }
}

/// Takes a signal of `set` that is already pending.
pub fn take_now(set: u64) -> Verdict<Option<Info>> {
    take(set, Duration::ZERO)
}

/// Queues a signal with its raw information for the process, or for one thread of this process where `tid` is given.
pub fn queue(pid: i32, tid: Option<i32>, info: &Info) -> Outcome {
    let (signal, info) = (info.i32(0), &raw const *info);
    // SAFETY: the kernel reads 128 bytes of `info`.
    outcome(unsafe {
        match tid {
            None => libc::syscall(libc::SYS_rt_sigqueueinfo, pid, signal, info),
            Some(tid) => libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signal, info),
        }
    })
}

/// Sends a plain signal to one thread of this process.
pub fn tgkill(tid: i32, signal: i32) -> Verdict {
    // SAFETY: the call takes numbers only.
    must("tgkill", outcome(unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) })).map(drop)
}

/// The action of a signal as the kernel keeps it.
pub fn action(signal: i32) -> Verdict<Action> {
    let mut now = Action::default();
    let none = std::ptr::null::<Action>();
    // SAFETY: `now` is a valid place for the kernel's structure.
    let done = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, none, &raw mut now, 8usize) };
    must("rt_sigaction", outcome(done))?;
    Ok(now)
}

/// Sets the action of a signal as given.
///
/// # Safety
/// The handler and the restorer must be what the flags say, or the signal must never be delivered.
pub unsafe fn set_action(signal: i32, action: &Action) -> Verdict {
    let none = std::ptr::null_mut::<Action>();
    // SAFETY: `action` is the kernel's structure; its contents are the caller's promise.
    let done = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const *action, none, 8usize) };
    must("rt_sigaction", outcome(done)).map(drop)
}

/// How often `count` caught each signal.
static CAUGHT: [AtomicU32; 65] = [const { AtomicU32::new(0) }; 65];

extern "C" fn counter(signal: c_int) {
    CAUGHT[signal as usize].fetch_add(1, Ordering::SeqCst);
}

/// Counts the signal from now on.
pub fn count(signal: i32, flags: c_int) -> Verdict {
    handle(signal, counter as *const () as usize, flags)
}

/// How often the signal was counted.
pub fn caught(signal: i32) -> u32 {
    CAUGHT[signal as usize].load(Ordering::SeqCst)
}

/// The type of a handler installed with SA_SIGINFO.
pub type InfoHandler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// Installs a handler that takes the signal's information.
pub fn handle_info(signal: i32, handler: InfoHandler, flags: c_int) -> Verdict {
    handle(signal, handler as *const () as usize, flags | libc::SA_SIGINFO)
}

/// Ignores a signal, or gives it its default action.
pub fn dispose(signal: i32, disposition: libc::sighandler_t) -> Verdict {
    handle(signal, disposition, 0)
}

fn handle(signal: i32, handler: usize, flags: c_int) -> Verdict {
    // SAFETY: an all-zero action is valid: default, empty mask, no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the handlers of the suite only touch atomics and make plain system calls.
    let done = unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
    check("setting of a signal action", done == 0)
}
