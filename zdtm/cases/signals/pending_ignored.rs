//! Signals that are ignored, by the program's wish or by default, but were blocked when they came: they are pending, and
//! can be waited for.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{Info, change_mask, dispose, mask, pending, queue, take_now};
use crate::tools_tasks::must;
use nix::unistd::getpid;

pub fn run(gate: &mut Gate) -> Verdict {
    let signals = [libc::SIGHUP, libc::SIGURG, libc::SIGCONT, libc::SIGRTMIN() + 3];
    let set = mask(&signals);
    change_mask(libc::SIG_BLOCK, set);
    dispose(signals[0], libc::SIG_IGN)?;
    dispose(signals[3], libc::SIG_IGN)?;
    let from = (getpid().as_raw(), 0);
    let infos = signals.map(|signal| Info::queued(signal, libc::SI_QUEUE, from, signal as u64 * 1000));
    for info in &infos {
        must("queueing", queue(from.0, None, info))?;
    }
    check_eq("pending before", pending(), set)?;
    gate.checkpoint()?;
    check_eq("pending", pending(), set)?;
    for info in infos {
        check_eq("the signal", take_now(1 << (info.i32(0) - 1))?, Some(info))?;
    }
    check_eq("pending afterwards", pending(), 0)
}
