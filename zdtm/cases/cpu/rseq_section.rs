//! A thread caught inside a restartable sequence starts it over: a thread that was stopped and went on in the middle
//! would finish a sequence that was interrupted.
use crate::gate::{Gate, Verdict, check};
use crate::tools_rseq::spin_in_section;
use crate::tools_tasks::{Word, await_that, gettid, stat_fields};
use crate::tools_threads::{join, spawn};

/// The words of the loop: stop, entries into the sequence, steps inside it.
static WORDS: [Word; 3] = [const { Word::new() }; 3];
static TID: Word = Word::new();

/// When the thread began, and how often it was switched away from: one of them changes where it was stopped.
fn past() -> Verdict<(String, u64)> {
    let path = format!("/proc/self/task/{}", TID.get());
    let mut switches = 0;
    for line in std::fs::read_to_string(format!("{path}/status"))?.lines().filter(|l| l.contains("ctxt_switches")) {
        switches += line.rsplit('\t').next().unwrap_or("").parse::<u64>()?;
    }
    Ok((stat_fields(&format!("{path}/stat"))?[19].clone(), switches))
}

/// Waits until the loop has gone round, and so returned from whatever interrupted it; returns its entries so far.
fn entries() -> Verdict<u32> {
    let steps = WORDS[2].get();
    await_that("a step inside the sequence", || Ok(WORDS[2].get().wrapping_sub(steps) > 1000))?;
    Ok(WORDS[1].get())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let thread = spawn(|| {
        TID.set(gettid() as u32);
        spin_in_section(&WORDS);
    })?;
    await_that("the sequence", || Ok(TID.get() != 0 && WORDS[1].get() != 0))?;
    let before = entries()?;
    // Read after the entries: a switch seen below came when that entry or a later one was under way.
    let was = past()?;
    gate.checkpoint()?;
    let is = past()?;
    let after = entries()?;
    WORDS[0].set(1);
    join(thread)?;
    check("the sequence was started over when it was interrupted", was == is || after > before)
}
