//! Pending signals tell who sent them: kill, tgkill and sigqueue by a child with another user id, which is gone since.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{Info, change_mask, queue, take_now};
use crate::tools_tasks::{child, gettid, must, outcome};
use nix::unistd::getpid;

pub fn run(gate: &mut Gate) -> Verdict {
    change_mask(libc::SIG_BLOCK, u64::MAX);
    let (process, thread) = (getpid().as_raw(), gettid());
    let signals = [0, 1, 2].map(|i| libc::SIGRTMIN() + i);
    let value = 0x0bad_cafe_dead_beef;
    let sender = child(gate, |_| {
        // The real and the effective id decide whether it may send; the real one is told.
        // SAFETY: the calls take numbers only.
        unsafe {
            must("setresuid", outcome(libc::setresuid(4321, 0, 0)))?;
            must("kill", outcome(libc::kill(process, signals[0])))?;
            must("tgkill", outcome(libc::syscall(libc::SYS_tgkill, process, thread, signals[1])))?;
        }
        let info = Info::queued(signals[2], libc::SI_QUEUE, (getpid().as_raw(), 777), value);
        must("sigqueue", queue(process, None, &info)).map(drop)
    })?;
    wait_ok(sender)?;
    gate.checkpoint()?;
    let from = (sender.as_raw(), 4321);
    check_eq("kill", take_now(1 << (signals[0] - 1))?, Some(Info::queued(signals[0], libc::SI_USER, from, 0)))?;
    check_eq("tgkill", take_now(1 << (signals[1] - 1))?, Some(Info::queued(signals[1], libc::SI_TKILL, from, 0)))?;
    let queued = Info::queued(signals[2], libc::SI_QUEUE, (from.0, 777), value);
    check_eq("sigqueue", take_now(1 << (signals[2] - 1))?, Some(queued))
}
