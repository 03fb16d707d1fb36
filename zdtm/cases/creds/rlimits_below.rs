//! Limits lower than what the process already has: descriptors above the limit on descriptors, more signals queued than
//! may be, more memory locked, more address space, files that may not grow, more threads than a user may have.
//@ dump-fails: "mmap"
//@ unseen: the limit is met when a call is made in the task
//@ needs: [cap:setuid, cap:ipc_lock]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::{status_field, wait_ok};
use crate::tools_creds::{must_call, set_capabilities};
use crate::tools_rlimits::{get_limit, set_limit};
use crate::tools_signals::{Info, change_mask, count, mask, queue, take_now};
use crate::tools_tasks::{Outcome, Word, child, must, outcome};
use crate::tools_threads::spawn;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::ptr::null_mut;

type Life = fn(&mut dyn FnMut()) -> Verdict;

/// Descriptor 900 with a limit of 12, also as the hard one.
fn descriptors(pass: &mut dyn FnMut()) -> Verdict {
    let file = File::create("high")?;
    // SAFETY: the call takes numbers only.
    let high = must("dup3", outcome(unsafe { libc::dup3(file.as_raw_fd(), 900, 0) }))?;
    drop(file);
    set_limit(libc::RLIMIT_NOFILE, [12, 12])?;
    pass();
    check_eq("the limit", get_limit(libc::RLIMIT_NOFILE)?, [12, 12])?;
    // SAFETY: the descriptor is this function's own.
    unsafe { File::from_raw_fd(high as i32) }.write_all(b"still open")?;
    check_eq("the file", std::fs::read("high")?, b"still open".to_vec())
}

/// Fifty signals in the queue with a limit of ten.
fn signals(pass: &mut dyn FnMut()) -> Verdict {
    let signal = libc::SIGRTMIN() + 8;
    change_mask(libc::SIG_BLOCK, mask(&[signal]));
    let from = (nix::unistd::getpid().as_raw(), 0);
    let info = |value| Info::queued(signal, libc::SI_QUEUE, from, value);
    (0..50).try_for_each(|value| must("queueing", queue(from.0, None, &info(value))).map(drop))?;
    set_limit(libc::RLIMIT_SIGPENDING, [10, 10])?;
    pass();
    check_eq("the limit", get_limit(libc::RLIMIT_SIGPENDING)?, [10, 10])?;
    (0..50).try_for_each(|value| check_eq("the next signal", take_now(mask(&[signal]))?, Some(info(value))))
}

fn map(length: usize) -> (*mut libc::c_void, Outcome) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let at = unsafe { libc::mmap(null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    (at, outcome(at as i64))
}

/// A megabyte locked by root, which then becomes a user who may lock nothing.
fn locked(pass: &mut dyn FnMut()) -> Verdict {
    let (at, _) = map(1 << 20);
    // SAFETY: the mapping was just made.
    must("mlock", outcome(unsafe { libc::mlock(at, 1 << 20) }))?;
    set_limit(libc::RLIMIT_MEMLOCK, [0, 0])?;
    must_call(libc::SYS_setresuid, [1000, 1000, 1000])?;
    pass();
    check_eq("the locked memory", status_field("self", "VmLck")?, "1024 kB".to_owned())?;
    let (at, _) = map(4096);
    // SAFETY: the mapping was just made.
    check_eq("locking more", outcome(unsafe { libc::mlock(at, 4096) }), (-1, libc::EPERM))
}

/// More address space in use than the soft limit allows.
fn space(pass: &mut dyn FnMut()) -> Verdict {
    let hard = get_limit(libc::RLIMIT_AS)?[1];
    set_limit(libc::RLIMIT_AS, [8192, hard])?;
    set_limit(libc::RLIMIT_DATA, [4096, get_limit(libc::RLIMIT_DATA)?[1]])?;
    pass();
    check_eq("a new mapping", map(4096).1, (-1, libc::ENOMEM))?;
    check_eq("the limit", get_limit(libc::RLIMIT_AS)?, [8192, hard])
}

/// A little space left under a hard limit.
fn little_space(pass: &mut dyn FnMut()) -> Verdict {
    let text = status_field("self", "VmSize")?;
    let used = text.trim_end_matches(" kB").parse::<u64>()? << 10;
    let limit = [used + (1 << 20), used + (1 << 20)];
    set_limit(libc::RLIMIT_AS, limit)?;
    pass();
    check_eq("a mapping that fits", map(512 << 10).1.1, 0)?;
    check_eq("a mapping that does not fit", map(768 << 10).1, (-1, libc::ENOMEM))?;
    check_eq("the limit", get_limit(libc::RLIMIT_AS)?, limit)
}

/// Files that may not grow past four bytes.
fn file_size(pass: &mut dyn FnMut()) -> Verdict {
    count(libc::SIGXFSZ, 0)?;
    let mut file = File::create("small")?;
    file.write_all(b"1234")?;
    set_limit(libc::RLIMIT_FSIZE, [4, 4])?;
    pass();
    check_eq("the errno of a write", file.write(b"5").err().and_then(|e| e.raw_os_error()), Some(libc::EFBIG))?;
    check_eq("SIGXFSZ caught", crate::tools_signals::caught(libc::SIGXFSZ), 1)?;
    check_eq("the file", std::fs::read("small")?, b"1234".to_vec())
}

/// Four threads of a user who may have one.
fn threads(pass: &mut dyn FnMut()) -> Verdict {
    for _ in 0..3 {
        spawn(|| std::thread::sleep(std::time::Duration::from_secs(1000)))?;
    }
    set_limit(libc::RLIMIT_NPROC, [1, 1])?;
    // The C library has all threads change their ids.
    // SAFETY: the call takes numbers only.
    must("setresuid", outcome(unsafe { libc::setresuid(54_321, 54_321, 54_321) }))?;
    set_capabilities([0; 3])?;
    pass();
    check_eq("the threads", status_field("self", "Threads")?, "4".to_owned())?;
    check("another thread is refused", std::thread::Builder::new().spawn(|| ()).is_err())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let lives: [Life; 7] = [descriptors, signals, locked, space, little_space, file_size, threads];
    let arrived = Word::shared()?;
    let mut children = Vec::new();
    for life in lives {
        children.push(child(gate, |gate| {
            let mut pass = || {
                arrived.bump();
                gate.wait();
            };
            life(&mut pass).inspect_err(|failure| eprintln!("child: {failure}"))
        })?);
    }
    crate::tools_tasks::await_that("the children", || Ok(arrived.get() == 7))?;
    gate.checkpoint()?;
    children.into_iter().try_for_each(wait_ok)
}
