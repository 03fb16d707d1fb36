//! Expirations that were not read before are read after; those of a descriptor that two tasks share are read once.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_events::{polled, set_timer, timer_state, timerfd};
use crate::tools_files::read_once;
use crate::tools_relatives::{arrive, await_word, shared_word, until};
use nix::errno::Errno;
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let (word, nonblock) = (shared_word()?, libc::TFD_NONBLOCK);
    let hour = Duration::from_secs(3600);
    let (over, first) = (timerfd(libc::CLOCK_MONOTONIC, nonblock)?, timerfd(libc::CLOCK_MONOTONIC, nonblock)?);
    let many = timerfd(libc::CLOCK_MONOTONIC, nonblock)?;
    set_timer(&over, 0, Duration::from_millis(1), Duration::ZERO)?;
    set_timer(&first, 0, Duration::from_millis(1), hour)?;
    set_timer(&many, 0, Duration::from_millis(1), Duration::from_millis(2))?;
    std::thread::sleep(Duration::from_millis(50));
    for fd in [&over, &first, &many] {
        until("the first expiration", || Ok(polled(fd)? == libc::POLLIN))?;
    }
    let child = gate.fork(|gate| {
        gate.wait();
        await_word(word, 1)?;
        check_eq("what the other left", read_once(&over, 8), Err(Errno::EAGAIN))
    })?;
    gate.checkpoint()?;
    let one = 1u64.to_ne_bytes().to_vec();
    check_eq("the timer that is over", timer_state(&over)?, (Duration::ZERO, Duration::ZERO))?;
    check_eq("its expirations", read_once(&over, 8)?, one.clone())?;
    arrive(word);
    check_eq("expirations of the slow timer", read_once(&first, 8)?, one)?;
    let mut ticks = [0; 8];
    ticks.copy_from_slice(&read_once(&many, 8)?);
    let ticks = u64::from_ne_bytes(ticks);
    check(&format!("{ticks} expirations of the fast timer"), ticks >= 20)?;
    wait_ok(child)
}
