//! The information of a pending signal, whatever its code: sent by kill, tkill, a queue, a timer, a message queue, as if
//! by the kernel, with codes of the program's own, and with every byte of it in use.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{Info, change_mask, queue, take_now};
use crate::tools_spin::pattern;
use crate::tools_tasks::{gettid, must};
use nix::unistd::getpid;

pub fn run(gate: &mut Gate) -> Verdict {
    change_mask(libc::SIG_BLOCK, u64::MAX);
    let codes = [
        (libc::SIGRTMIN(), libc::SI_USER),
        (libc::SIGRTMIN(), libc::SI_QUEUE),
        (libc::SIGRTMIN(), libc::SI_TIMER),
        (libc::SIGRTMIN(), libc::SI_MESGQ),
        (libc::SIGRTMIN(), libc::SI_ASYNCIO),
        (libc::SIGRTMIN(), libc::SI_SIGIO),
        (libc::SIGRTMIN(), libc::SI_TKILL),
        (libc::SIGRTMIN(), libc::SI_KERNEL),
        (libc::SIGRTMIN(), -1000),
        (libc::SIGRTMAX(), 1),
        (libc::SIGRTMAX(), i32::MIN),
        (libc::SIGRTMAX(), i32::MAX),
        (libc::SIGSEGV, 1),
        (libc::SIGFPE, 2),
        (libc::SIGCHLD, libc::CLD_DUMPED),
        (libc::SIGPOLL, 6),
        (libc::SIGSYS, 1),
    ];
    let mut sent: [Vec<Info>; 2] = [Vec::new(), Vec::new()];
    for (seed, (signal, code)) in codes.into_iter().enumerate() {
        for (list, to) in sent.iter_mut().zip([None, Some(gettid())]) {
            let mut info = Info([0; 128]);
            // The kernel keeps 48 bytes.
            info.put(0, &pattern(seed as u8 * 2 + u8::from(to.is_some()), 48));
            info.put(0, &signal.to_ne_bytes());
            info.put(8, &code.to_ne_bytes());
            must(&format!("queueing signal {signal} with code {code}"), queue(getpid().as_raw(), to, &info))?;
            list.push(info);
        }
    }
    gate.checkpoint()?;
    // The thread's before the process's.
    for list in sent.iter().rev() {
        for wanted in list {
            check_eq("the information", take_now(1 << (wanted.i32(0) - 1))?, Some(*wanted))?;
        }
    }
    check_eq("more signals", take_now(u64::MAX)?, None)
}
