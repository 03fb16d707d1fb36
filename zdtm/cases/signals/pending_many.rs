//! Two thousand queued signals, all in order and none lost.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{Info, change_mask, mask, queue, take_now};
use crate::tools_tasks::must;
use nix::unistd::getpid;

pub fn run(gate: &mut Gate) -> Verdict {
    let signal = libc::SIGRTMIN() + 2;
    change_mask(libc::SIG_BLOCK, mask(&[signal]));
    let from = (getpid().as_raw(), 0);
    for value in 0..2000 {
        must("queueing", queue(from.0, None, &Info::queued(signal, libc::SI_QUEUE, from, value)))?;
    }
    gate.checkpoint()?;
    for value in 0..2000 {
        let wanted = Info::queued(signal, libc::SI_QUEUE, from, value);
        check_eq("the next signal", take_now(mask(&[signal]))?, Some(wanted))?;
    }
    check_eq("one more", take_now(mask(&[signal]))?, None)
}
