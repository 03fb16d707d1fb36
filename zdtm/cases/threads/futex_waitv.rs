//! A thread that waits on several futexes at once is woken by one of them and told which.
//@ needs: [kernel:5.16]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, outcome};
use crate::tools_threads::{blocked, futex};

/// The kernel's `struct futex_waitv`.
#[repr(C)]
struct Wait {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

pub fn run(gate: &mut Gate) -> Verdict {
    static WORDS: [Word; 3] = [const { Word::new() }; 3];
    let wait = || {
        // 0x82: 32-bit words, private.
        let waits = WORDS.each_ref().map(|w| Wait { value: 0, address: w.as_ptr() as u64, flags: 0x82, reserved: 0 });
        let none = std::ptr::null::<libc::timespec>();
        // SAFETY: the list is valid during the call, no time is given.
        outcome(unsafe { libc::syscall(libc::SYS_futex_waitv, waits.as_ptr(), 3, 0, none, libc::CLOCK_MONOTONIC) })
    };
    let wake = || {
        let woken = futex(&WORDS[2], libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 9);
        check_eq("the woken", woken, (1, 0))
    };
    check_eq("the wait", blocked(gate, libc::SYS_futex_waitv, wait, wake)?, (2, 0))
}
