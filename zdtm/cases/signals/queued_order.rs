//! Queued real-time signals come in the order in which they were sent, with their values, those of the thread before
//! those of the process; a standard signal sent twice comes once.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{Info, change_mask, queue, take_now};
use crate::tools_tasks::{gettid, must};
use nix::unistd::getpid;

pub fn run(gate: &mut Gate) -> Verdict {
    change_mask(libc::SIG_BLOCK, u64::MAX);
    let (first, second) = (libc::SIGRTMIN(), libc::SIGRTMIN() + 5);
    let from = (getpid().as_raw(), 0);
    let info = |signal, value| Info::queued(signal, libc::SI_QUEUE, from, value);
    let shared = [
        info(second, u64::MAX),
        info(first, 1),
        info(first, 0xffff_ffff_0000_0003),
        info(second, 7),
        info(first, 2),
        info(first, 2),
        info(libc::SIGTERM, 99),
        info(libc::SIGTERM, 98),
    ];
    let private = [info(second, 20), info(second, 10), info(libc::SIGUSR1, 5)];
    for info in &shared {
        must("rt_sigqueueinfo", queue(from.0, None, info))?;
    }
    for info in &private {
        must("rt_tgsigqueueinfo", queue(from.0, Some(gettid()), info))?;
    }
    gate.checkpoint()?;
    let wanted = [
        private[2], private[0], private[1], shared[6], shared[1], shared[2], shared[4], shared[5], shared[0], shared[3],
    ];
    let mut got = Vec::new();
    while let Some(info) = take_now(u64::MAX)? {
        got.push(info);
    }
    check_eq("the signals", got, wanted.to_vec())
}
