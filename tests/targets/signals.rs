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

/// The payloads that came, in their order, as digits: by signals of the process, by signals of its other thread.
static PAYLOADS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
/// How often a POSIX timer ran out.
static EXPIRED: AtomicU64 = AtomicU64::new(0);

/// The signals that bring payloads, of real time: for the process, for its other thread.
const BRINGS: [i32; 2] = [37, 38];
/// After this time the timers of `receiver` run out, once, in milliseconds.
const RUN_OUT: u64 = 1500;

extern "C" fn payload(signal: i32, info: *const libc::siginfo_t, _: usize) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO the signal's information.
    let value = unsafe { (*info).si_value().sival_ptr as u64 };
    let add = |digits: u64| Some(digits * 10 + value);
    let _ = PAYLOADS[usize::from(signal != BRINGS[0])].fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
}

extern "C" fn expired(_: i32) {
    EXPIRED.fetch_add(1, Ordering::SeqCst);
}

/// Says what it received: payloads of its two threads, and how often its two timers ran out. It has so much memory that
/// a dump of it takes a while.
pub fn receiver(page: &'static Page) {
    const MEMORY: usize = 64 << 20;
    let memory = std::hint::black_box(vec![1u8; MEMORY]);
    // SAFETY: whole structs; the handlers are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = payload as extern "C" fn(i32, *const libc::siginfo_t, usize) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        for signal in BRINGS {
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    set_action(libc::SIGALRM, tick as extern "C" fn(i32) as usize);
    set_action(libc::SIGUSR2, expired as extern "C" fn(i32) as usize);
    run_out_once();
    std::thread::spawn(|| {
        // SAFETY: a whole set. What is sent to the process is the main thread's.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&mut set, BRINGS[0]);
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        }
        page.work(1, || {
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        });
    });
    page.ready(2);
    page.work(0, || {
        std::thread::sleep(Duration::from_millis(1));
        let [process, thread] = [0, 1].map(|i: usize| PAYLOADS[i].load(Ordering::SeqCst));
        page.received([process, thread, TICKS.load(Ordering::SeqCst), EXPIRED.load(Ordering::SeqCst)]);
        Ok(())
    });
    drop(memory);
}

/// Arms an interval timer and a POSIX timer.
fn run_out_once() {
    let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let value = libc::timeval { tv_sec: (RUN_OUT / 1000) as i64, tv_usec: (RUN_OUT % 1000 * 1000) as i64 };
    let interval = libc::itimerval { it_interval: none, it_value: value };
    // SAFETY: whole structs, and room for the timer's number.
    unsafe {
        libc::setitimer(libc::ITIMER_REAL, &interval, std::ptr::null_mut());
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGUSR2;
        let mut timer = std::mem::zeroed();
        libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer);
        let mut value: libc::itimerspec = std::mem::zeroed();
        value.it_value =
            libc::timespec { tv_sec: (RUN_OUT / 1000) as i64, tv_nsec: (RUN_OUT % 1000 * 1_000_000) as i64 };
        libc::timer_settime(timer, 0, &value, std::ptr::null_mut());
    }
}

/// Queues a signal with a payload for a task: for the process whose leader it is, else for the thread.
pub fn send(task: &str, signal: &str, value: &str) {
    let number = |text: &str| text.parse::<i32>().unwrap_or_else(|e| panic!("{text}: {e}"));
    let (task, signal) = (number(task), number(signal));
    let status = std::fs::read_to_string(format!("/proc/{task}/status")).unwrap_or_default();
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")).map_or(task, |tgid| number(tgid.trim()));
    let mut info = [0u64; 16];
    info[0] = signal as u64;
    info[1] = libc::SI_QUEUE as u32 as u64;
    info[3] = number(value) as u64;
    // SAFETY: a whole siginfo_t of 128 bytes.
    let sent = unsafe {
        match task == process {
            true => libc::syscall(libc::SYS_rt_sigqueueinfo, process, signal, info.as_ptr()),
            false => libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, task, signal, info.as_ptr()),
        }
    };
    assert_eq!(sent, 0, "the signal cannot be sent: {}", std::io::Error::last_os_error());
}
