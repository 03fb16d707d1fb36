//! A stopped process with several threads: all of them stay stopped, and all go on with SIGCONT.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_that, child, stat_fields};
use nix::unistd::Pid;
use std::thread::{sleep, spawn};
use std::time::Duration;

fn states(process: Pid) -> Verdict<Vec<String>> {
    let mut states = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
        states.push(stat_fields(&entry?.path().join("stat").to_string_lossy())?[0].clone());
    }
    Ok(states)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (finish, counters) = (Word::shared()?, Word::shared_many(3)?);
    let process = child(gate, |_| {
        for counter in counters {
            spawn(move || {
                while finish.get() == 0 {
                    counter.bump();
                    sleep(Duration::from_millis(1));
                }
            });
        }
        finish.wait_for(1);
        Ok(())
    })?;
    counters.iter().for_each(|c| c.wait_for(5));
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(process.as_raw(), libc::SIGSTOP) };
    await_that("the stop of all threads", || Ok(states(process)? == vec!["T"; 4]))?;
    let before: Vec<u32> = counters.iter().map(Word::get).collect();
    gate.checkpoint()?;
    sleep(Duration::from_millis(20));
    check_eq("the threads' states", states(process)?, vec!["T".to_owned(); 4])?;
    check_eq("the counters of stopped threads", counters.iter().map(Word::get).collect::<Vec<_>>(), before.clone())?;
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(process.as_raw(), libc::SIGCONT) };
    for (counter, before) in counters.iter().zip(before) {
        counter.wait_for(before + 5);
        check("the counter goes on", counter.get() >= before + 5)?;
    }
    finish.set(1);
    wait_ok(process)
}
