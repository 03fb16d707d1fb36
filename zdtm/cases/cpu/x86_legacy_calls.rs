//! Threads blocked in the old calls that other processors do not have: poll, select and pause, which the kernel restarts
//! in ways of their own.
//@ routes: [once, thrice, leave-running] # a sleep begun by int 0x80 ends with EINTR where the engine is killed: its restart has another number
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::{caught, count, tgkill};
use crate::tools_tasks::{Outcome, outcome};
use crate::tools_threads::Call;
use std::io::{Write as _, pipe};
use std::os::fd::{AsRawFd as _, RawFd};
use std::time::{Duration, Instant};

fn poll(fd: RawFd, milliseconds: i32) -> (Outcome, i16) {
    let mut list = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: the list of one is valid during the call.
    (outcome(unsafe { libc::syscall(libc::SYS_poll, &raw mut list, 1, milliseconds) }), list.revents)
}

/// `select` for reading of one descriptor, with a time in seconds where given.
fn select(fd: RawFd, seconds: Option<i64>) -> (Outcome, u64) {
    let mut sets = [0u64; 16];
    sets[0] = 1 << fd;
    let mut time = seconds.map(|tv_sec| libc::timeval { tv_sec, tv_usec: 0 });
    let time = time.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    let none = std::ptr::null_mut::<u64>();
    // SAFETY: the set holds 1024 bits; the time is valid during the call.
    (outcome(unsafe { libc::syscall(libc::SYS_select, 64, sets.as_mut_ptr(), none, none, time) }), sets[0])
}

pub fn run(gate: &mut Gate) -> Verdict {
    count(libc::SIGUSR1, libc::SA_RESTART)?;
    let (quiet, _quiet_writer) = pipe()?;
    let (reader, mut writer) = pipe()?;
    let (quiet, ready) = (quiet.as_raw_fd(), reader.as_raw_fd());
    let start = Instant::now();
    let endless = [Call::start(libc::SYS_poll, move || poll(ready, -1))?, {
        Call::start(libc::SYS_poll, move || poll(ready, 3_600_000))?
    }];
    let chosen = Call::start(libc::SYS_select, move || select(ready, None))?;
    let timed_poll = Call::start(libc::SYS_poll, move || (poll(quiet, 2000), start.elapsed()))?;
    let timed_select = Call::start(libc::SYS_select, move || (select(quiet, Some(2)), start.elapsed()))?;
    // SAFETY: the call takes nothing.
    let paused = Call::start(libc::SYS_pause, || outcome(unsafe { libc::syscall(libc::SYS_pause) }))?;
    gate.checkpoint()?;
    endless.iter().try_for_each(Call::still)?;
    chosen.still()?;
    paused.still()?;
    writer.write_all(b"x")?;
    for call in endless {
        check_eq("the poll", call.result()?, ((1, 0), libc::POLLIN))?;
    }
    check_eq("the select", chosen.result()?, ((1, 0), 1 << ready))?;
    tgkill(paused.tid, libc::SIGUSR1)?;
    check_eq("the pause", paused.result()?, (-1, libc::EINTR))?;
    check_eq("signals caught", caught(libc::SIGUSR1), 1)?;
    let (done, elapsed) = timed_poll.result()?;
    check_eq("the timed poll", done, ((0, 0), 0))?;
    check(&format!("the timed poll did not end early ({elapsed:?})"), elapsed >= Duration::from_secs(2))?;
    let (done, elapsed) = timed_select.result()?;
    check_eq("the timed select", done, ((0, 0), 0))?;
    check(&format!("the timed select did not end early ({elapsed:?})"), elapsed >= Duration::from_secs(2))
}
