//! Threads in sigtimedwait, with a time and without, go on waiting and get the signal that comes after the restore with
//! its value; one whose time runs out gets EAGAIN and not early.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::{Info, change_mask, mask, queue};
use crate::tools_tasks::outcome;
use crate::tools_threads::{Call, timespec};
use std::time::{Duration, Instant};

/// Waits for `signal`: what the call returned, and the value that came.
fn wait(signal: i32, time: Option<Duration>) -> ((i64, i32), u64) {
    let (set, mut info) = (mask(&[signal]), Info([0; 128]));
    let time = time.map(timespec);
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the set, the information and the time are valid during the call.
    let done = unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, &raw mut info, time, 8usize) };
    (outcome(done), info.value())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let signals = [0, 1, 2].map(|i| libc::SIGRTMIN() + i);
    change_mask(libc::SIG_BLOCK, mask(&signals));
    let start = Instant::now();
    let nr = libc::SYS_rt_sigtimedwait;
    let endless = Call::start(nr, move || wait(signals[0], None))?;
    let long = Call::start(nr, move || wait(signals[1], Some(Duration::from_secs(3600))))?;
    let short = Call::start(nr, move || (wait(signals[2], Some(Duration::from_secs(2))), start.elapsed()))?;
    gate.checkpoint()?;
    for (i, call) in [endless, long].into_iter().enumerate() {
        call.still()?;
        let value = 0xdead_beef_0000_0000 + i as u64;
        let pid = nix::unistd::getpid().as_raw();
        let info = Info::queued(signals[i], libc::SI_QUEUE, (pid, 0), value);
        check_eq("queueing", queue(pid, None, &info), (0, 0))?;
        check_eq("the wait", call.result()?, ((i64::from(signals[i]), 0), value))?;
    }
    let (done, elapsed) = short.result()?;
    check_eq("the short wait", done, ((-1, libc::EAGAIN), 0))?;
    check(&format!("the short wait did not end early ({elapsed:?})"), elapsed >= Duration::from_secs(2))
}
