//! Work that waits in a system call, which must end as it would have ended undisturbed.

use crate::Page;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_millis(20);
/// Beyond it a wait has taken too long: a thread that lost its tracer is parked for two seconds.
const SLACK: Duration = Duration::from_secs(6);

fn timespec() -> libc::timespec {
    libc::timespec { tv_sec: 0, tv_nsec: WAIT.as_nanos() as i64 }
}

/// Runs a wait of [`WAIT`] again and again; it says whether it ended as it must.
pub fn run(page: &Page, wait: fn() -> bool) {
    page.ready(1);
    page.work(0, || {
        let started = Instant::now();
        let right = wait();
        let elapsed = started.elapsed();
        match (right, elapsed >= WAIT, elapsed < WAIT + SLACK) {
            (false, ..) => Err(10),
            (_, false, _) => Err(11),
            (.., false) => Err(12),
            _ => Ok(()),
        }
    });
}

/// nanosleep(2) without and with a place for the time that is left.
pub fn nanosleep() -> bool {
    static ROUND: AtomicU32 = AtomicU32::new(0);
    let (time, mut left) = (timespec(), timespec());
    let odd = ROUND.fetch_add(1, Ordering::Relaxed) & 1 == 1;
    let left: *mut libc::timespec = if odd { &mut left } else { std::ptr::null_mut() };
    // SAFETY: both live on this stack.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, left) == 0 }
}

/// FUTEX_WAIT with a timeout on a word that nobody wakes.
pub fn futex() -> bool {
    static WORD: AtomicU32 = AtomicU32::new(7);
    let time = timespec();
    // SAFETY: the word and the time live.
    let result = unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), libc::FUTEX_WAIT, 7, &raw const time, 0, 0) };
    result == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ETIMEDOUT)
}

/// ppoll(2) of nothing.
pub fn ppoll() -> bool {
    let mut time = timespec();
    // SAFETY: no descriptors; the kernel may write the time that is left.
    unsafe { libc::syscall(libc::SYS_ppoll, 0, 0, &raw mut time, 0, 8) == 0 }
}

/// rt_sigtimedwait(2) for a signal that nobody sends and epoll_wait(2) of nothing, in turn: a stop ends both with EINTR.
pub fn unrestarted() -> bool {
    static ROUND: AtomicU32 = AtomicU32::new(0);
    if ROUND.fetch_add(1, Ordering::Relaxed) & 1 == 1 {
        // SAFETY: room for one event; the descriptor is closed again.
        return unsafe {
            let (epoll, mut event) =
                (libc::epoll_create1(libc::EPOLL_CLOEXEC), libc::epoll_event { events: 0, u64: 0 });
            let result = libc::epoll_wait(epoll, &mut event, 1, WAIT.as_millis() as i32);
            libc::close(epoll);
            result == 0
        };
    }
    let (set, time) = (1u64 << (libc::SIGUSR1 - 1), timespec());
    // SAFETY: the set and the time live; no information is asked for.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, 0, &raw const time, 8) };
    result == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)
}

static ALARMS: AtomicU64 = AtomicU64::new(0);

extern "C" fn alarm(_: i32) {
    ALARMS.fetch_add(1, Ordering::SeqCst);
}

/// rt_sigsuspend(2) until a timer's signal, of which there is one each time.
pub fn sigsuspend(page: &Page) {
    let handler: extern "C" fn(i32) = alarm;
    // SAFETY: whole structs on this stack.
    let mut empty = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        let mut blocked: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut blocked, libc::SIGALRM);
        libc::sigprocmask(libc::SIG_BLOCK, &blocked, std::ptr::null_mut());
        std::mem::zeroed::<libc::sigset_t>()
    };
    page.ready(1);
    page.work(0, || {
        let before = ALARMS.load(Ordering::SeqCst);
        let zero = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let once = libc::itimerval { it_interval: zero, it_value: libc::timeval { tv_usec: 10_000, ..zero } };
        // SAFETY: whole structs.
        let result = unsafe {
            libc::setitimer(libc::ITIMER_REAL, &once, std::ptr::null_mut());
            libc::sigemptyset(&mut empty);
            libc::sigsuspend(&empty)
        };
        match ALARMS.load(Ordering::SeqCst) - before {
            1 if result == -1 => Ok(()),
            0 => Err(20),
            _ => Err(21),
        }
    });
}

/// read(2) of a pipe into which another thread writes now and then.
pub fn read(page: &'static Page) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        std::process::exit(1);
    }
    let writer = std::thread::spawn(move || {
        let mut next = 0u8;
        while !page.stopping() {
            std::thread::sleep(Duration::from_millis(10));
            // SAFETY: one byte.
            page.count(1, unsafe { libc::write(ends[1], (&raw const next).cast(), 1) } == 1, 30);
            next = next.wrapping_add(1);
        }
        // SAFETY: the writer's own descriptor: the reader then sees the end.
        unsafe { libc::close(ends[1]) };
    });
    page.ready(2);
    let mut expected = 0u8;
    loop {
        let mut byte = 0u8;
        // SAFETY: room for one byte.
        match unsafe { libc::read(ends[0], (&raw mut byte).cast(), 1) } {
            1 => {
                page.count(0, byte == expected, 31);
                expected = expected.wrapping_add(1);
            }
            0 => break,
            _ => page.count(0, false, 32),
        }
    }
    if writer.join().is_err() {
        std::process::exit(1);
    }
}
