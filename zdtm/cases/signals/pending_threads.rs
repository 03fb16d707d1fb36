//! Each of several threads has its own queue of signals, with its own values.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{Info, change_mask, mask, queue, take_now};
use crate::tools_tasks::{Word, gettid, must};
use crate::tools_threads::{join, spawn};
use nix::unistd::getpid;

pub fn run(gate: &mut Gate) -> Verdict {
    static STEP: Word = Word::new();
    static GO: Word = Word::new();
    let signal = libc::SIGRTMIN() + 4;
    change_mask(libc::SIG_BLOCK, mask(&[signal]));
    let from = (getpid().as_raw(), 0);
    let mut threads = Vec::new();
    for thread in 0..8u64 {
        threads.push(spawn(move || {
            let infos: Vec<Info> =
                (0..thread + 1).map(|n| Info::queued(signal, libc::SI_QUEUE, from, thread << 32 | n)).collect();
            for info in &infos {
                must("queueing", queue(from.0, Some(gettid()), info))?;
            }
            STEP.bump();
            GO.wait_for(1);
            for info in infos {
                check_eq("the next signal", take_now(mask(&[signal]))?, Some(info))?;
            }
            check_eq("one more", take_now(mask(&[signal]))?, None)
        })?);
    }
    STEP.wait_for(8);
    gate.checkpoint()?;
    check_eq("the main thread's", take_now(mask(&[signal]))?, None)?;
    GO.set(1);
    threads.into_iter().try_for_each(|t| join(t)?)
}
