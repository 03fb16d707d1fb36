//! Threads blocked in ppoll: without a time until a descriptor is ready, with a time that runs out and not early, and
//! with a mask of its own, where a signal that only this mask lets through interrupts it and the old mask comes back.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::{caught, change_mask, count, current_mask, mask, tgkill};
use crate::tools_tasks::{Outcome, outcome};
use crate::tools_threads::{Call, timespec};
use std::io::{Write as _, pipe};
use std::os::fd::{AsRawFd as _, RawFd};
use std::time::{Duration, Instant};

/// `ppoll` for reading of two descriptors: the result and the events of each.
fn ppoll(fds: [RawFd; 2], time: Option<Duration>, mask: Option<u64>) -> (Outcome, [i16; 2]) {
    let mut list = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let mut time = time.map(timespec);
    let time = time.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    let mask = mask.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the list, the time and the mask are valid during the call.
    let done = unsafe { libc::syscall(libc::SYS_ppoll, list.as_mut_ptr(), 2, time, mask, 8usize) };
    (outcome(done), list.map(|l| l.revents))
}

pub fn run(gate: &mut Gate) -> Verdict {
    count(libc::SIGUSR1, 0)?;
    let (quiet, _quiet_writer) = pipe()?;
    let (reader, mut writer) = pipe()?;
    let fds = [quiet.as_raw_fd(), reader.as_raw_fd()];
    let first = fds[0];
    let endless = Call::start(libc::SYS_ppoll, move || ppoll(fds, None, None))?;
    let time = Duration::from_secs(2);
    let start = Instant::now();
    let timed = Call::start(libc::SYS_ppoll, move || (ppoll([first, -1], Some(time), None), start.elapsed()))?;
    let masked = Call::start(libc::SYS_ppoll, move || {
        change_mask(libc::SIG_SETMASK, mask(&[libc::SIGUSR1, libc::SIGUSR2]));
        (ppoll([first, -1], Some(Duration::from_secs(3600)), Some(mask(&[libc::SIGHUP]))), current_mask())
    })?;
    gate.checkpoint()?;
    endless.still()?;
    masked.still()?;
    writer.write_all(b"x")?;
    check_eq("the endless poll", endless.result()?, ((1, 0), [0, libc::POLLIN]))?;
    check_eq("signals before one was sent", caught(libc::SIGUSR1), 0)?;
    tgkill(masked.tid, libc::SIGUSR1)?;
    let interrupted = ((-1, libc::EINTR), [0, 0]);
    check_eq("the masked poll", masked.result()?, (interrupted, mask(&[libc::SIGUSR1, libc::SIGUSR2])))?;
    check_eq("signals caught", caught(libc::SIGUSR1), 1)?;
    let (done, elapsed) = timed.result()?;
    check_eq("the timed poll", done, ((0, 0), [0, 0]))?;
    check(&format!("the timed poll did not end early ({elapsed:?})"), elapsed >= time)
}
