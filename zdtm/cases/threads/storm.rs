//! Threads that start and end all the time while the process is frozen; those that start them, too.
//@ witness: -threads -maps -pss # threads come and go with their stacks
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::Word;
use crate::tools_threads::{join, spawn};

pub fn run(gate: &mut Gate) -> Verdict {
    static STOP: Word = Word::new();
    static RUNS: [Word; 4] = [const { Word::new() }; 4];
    let mut makers = Vec::new();
    for runs in &RUNS {
        makers.push(spawn(move || {
            while STOP.get() == 0 {
                let before = runs.get();
                let pair = [spawn(|| runs.bump())?, spawn(|| runs.bump())?];
                pair.into_iter().try_for_each(|t| join(t).map(drop))?;
                check_eq("the runs of two threads", runs.get(), before + 2)?;
            }
            Ok::<(), crate::gate::Failure>(())
        })?);
    }
    RUNS.iter().for_each(|r| r.wait_for(4));
    gate.checkpoint()?;
    RUNS.iter().for_each(|r| r.wait_for(r.get() + 20));
    STOP.set(1);
    makers.into_iter().try_for_each(|t| join(t)?)
}
