//! Work under unusual dispositions: what a careless tracer destroys.

use crate::Page;
use crate::compute::checksum;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static UNEXPECTED: AtomicU64 = AtomicU64::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn unexpected(_: i32) {
    UNEXPECTED.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn tick(_: i32) {
    TICKS.fetch_add(1, Ordering::SeqCst);
}

fn set_action(signal: i32, handler: usize) {
    // SAFETY: a whole struct; the handlers are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

fn action(signal: i32) -> usize {
    // SAFETY: room for the old action.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut old);
        old.sa_sigaction
    }
}

fn is_blocked(signal: i32) -> bool {
    // SAFETY: room for the mask.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
        libc::sigismember(&mask, signal) == 1
    }
}

/// Computes and sleeps, and has `check` look at the signals.
fn compute_and(page: &Page, check: impl Fn() -> Result<(), u64>) {
    let right = checksum(5, 20_000);
    page.ready(1);
    page.work(0, || {
        if checksum(std::hint::black_box(5), 20_000) != right {
            return Err(40);
        }
        std::thread::sleep(Duration::from_millis(1));
        if UNEXPECTED.load(Ordering::SeqCst) != 0 { Err(41) } else { check() }
    });
}

/// SIGTRAP caught and blocked.
pub fn trap_blocked(page: &Page) {
    let handler: extern "C" fn(i32) = unexpected;
    set_action(libc::SIGTRAP, handler as usize);
    // SAFETY: a whole set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut set, libc::SIGTRAP);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
    compute_and(page, || match (action(libc::SIGTRAP) == handler as usize, is_blocked(libc::SIGTRAP)) {
        (true, true) => Ok(()),
        (false, _) => Err(42),
        _ => Err(43),
    });
}

/// SIGTRAP ignored.
pub fn trap_ignored(page: &Page) {
    set_action(libc::SIGTRAP, libc::SIG_IGN);
    compute_and(page, || if action(libc::SIGTRAP) == libc::SIG_IGN { Ok(()) } else { Err(44) });
}

/// A handler for every signal that can have one; none may run.
pub fn all_caught(page: &Page) {
    let handler: extern "C" fn(i32) = unexpected;
    let caught = || (1..=64).filter(|s| ![libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(s));
    caught().for_each(|signal| set_action(signal, handler as usize));
    compute_and(page, || if caught().all(|s| action(s) == handler as usize) { Ok(()) } else { Err(45) });
}

/// An interval timer that fires each millisecond.
pub fn timer(page: &Page) {
    let handler: extern "C" fn(i32) = tick;
    set_action(libc::SIGALRM, handler as usize);
    let every = libc::timeval { tv_sec: 0, tv_usec: 1000 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a whole struct.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
    let right = checksum(6, 20_000);
    page.ready(1);
    page.work(0, || {
        let (before, started) = (TICKS.load(Ordering::SeqCst), Instant::now());
        while started.elapsed() < Duration::from_millis(5) {
            if checksum(std::hint::black_box(6), 20_000) != right {
                return Err(46);
            }
        }
        if TICKS.load(Ordering::SeqCst) > before { Ok(()) } else { Err(47) }
    });
}
