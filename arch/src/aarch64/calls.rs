//! How the system calls of AArch64 end when they are interrupted. The kernel of this CPU winds a call back before a
//! tracer sees it, so that only the number of the call tells. Where signal(7) names a call ("Interruption of system
//! calls and library functions by signal handlers"), its line says the same. The cases `threads/block_*` make some of
//! these calls (sleeps, ppoll, pselect6, rt_sigsuspend, rt_sigtimedwait); not every line was seen on this CPU.

use crate::Ending;
use crate::restart;

/// nanosleep(2).
pub const NANOSLEEP: i64 = 101;
/// clock_nanosleep(2).
pub const CLOCK_NANOSLEEP: i64 = 115;
/// futex(2).
pub const FUTEX: i64 = 98;

const MSGRCV: i64 = 188;
const MSGSND: i64 = 189;
const PSELECT6: i64 = 72;
const PPOLL: i64 = 73;
const RT_SIGSUSPEND: i64 = 133;
const EPOLL_PWAIT: i64 = 22;
const EPOLL_PWAIT2: i64 = 441;
const RT_SIGTIMEDWAIT: i64 = 137;
const SEMTIMEDOP: i64 = 192;
const SEMOP: i64 = 193;
const IO_GETEVENTS: i64 = 4;
const FUTEX_WAITV: i64 = 449;
const CLONE: i64 = 220;
const CLONE3: i64 = 435;

const TIMER_ABSTIME: u64 = 1;
/// Commands of futex(2) with a time limit after which a wait is continued from where it was.
const FUTEX_COMMAND: u64 = 0x7f;
const FUTEX_WAIT: u64 = 0;

/// What the call `nr` with these arguments returns within the kernel when a signal interrupts it.
pub fn ending(nr: i64, argument: impl Fn(usize) -> u64) -> Ending {
    Ending::Restart(match nr {
        NANOSLEEP => restart::BLOCK,
        CLOCK_NANOSLEEP if argument(1) & TIMER_ABSTIME == 0 => restart::BLOCK,
        CLOCK_NANOSLEEP => restart::NO_HAND,
        FUTEX if argument(1) & FUTEX_COMMAND == FUTEX_WAIT && argument(3) != 0 => restart::BLOCK,
        crate::aarch64::NR_RESTART => restart::BLOCK,
        PSELECT6 | PPOLL | RT_SIGSUSPEND | MSGRCV | MSGSND => restart::NO_HAND,
        CLONE | CLONE3 => restart::NO_INTR,
        EPOLL_PWAIT | EPOLL_PWAIT2 | RT_SIGTIMEDWAIT | SEMOP | SEMTIMEDOP | IO_GETEVENTS | FUTEX_WAITV => {
            return Ending::Interrupted;
        }
        // Reads, writes, locks, waits for children: the rule.
        _ => restart::SYS,
    })
}

/// The same where it is known that a stop, not a signal, ended it.
pub fn interrupted_by_stop(nr: i64, argument: impl Fn(usize) -> u64) -> i64 {
    match ending(nr, argument) {
        Ending::Restart(result) => result,
        Ending::Interrupted => restart::NO_HAND,
    }
}
