//! A timer of the C library that calls a function in a thread of its own calls it after the restore, with its value.
//@ witness: -threads -maps -pss # the library makes a thread for each call
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::{Word, await_that, must, outcome};
use std::time::{Duration, Instant};

static CALLS: Word = Word::new();
static VALUE: Word = Word::new();

extern "C" fn called(value: libc::sigval) {
    VALUE.set(value.sival_ptr as usize as u32);
    CALLS.bump();
}

/// The C library's `struct sigevent` where a function is called: value, signal, kind, function, attributes.
#[repr(C)]
struct Event {
    value: usize,
    signal: i32,
    kind: i32,
    function: extern "C" fn(libc::sigval),
    attributes: usize,
    rest: [usize; 4],
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut event =
        Event { value: 0x7777, signal: 0, kind: libc::SIGEV_THREAD, function: called, attributes: 0, rest: [0; 4] };
    let mut timer: libc::timer_t = std::ptr::null_mut();
    // SAFETY: the event has the C library's layout, and the function lives for ever.
    let made = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, (&raw mut event).cast(), &mut timer) };
    must("timer_create", outcome(made))?;
    let time = |time: Duration| crate::tools_threads::timespec(time);
    let (first, pace) = (Duration::from_millis(1500), Duration::from_millis(50));
    let start = Instant::now();
    let new = libc::itimerspec { it_value: time(first), it_interval: time(pace) };
    // SAFETY: the timer was made above.
    must("timer_settime", outcome(unsafe { libc::timer_settime(timer, 0, &new, std::ptr::null_mut()) }))?;
    gate.checkpoint()?;
    await_that("calls", || Ok(CALLS.get() >= 3))?;
    check("the first call did not come early", start.elapsed() >= first)?;
    check_eq("the value", VALUE.get(), 0x7777)
}
