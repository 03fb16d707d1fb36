//! Threads with different filters: none, one, one more; and one that a thread gave to all of them (TSYNC).
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_creds::{Filter, call, errno};
use crate::tools_tasks::{Outcome, Word, child, must};
use crate::tools_threads::{join, own_status, spawn};

/// FILTER_FLAG_TSYNC of seccomp(2).
const TO_ALL_THREADS: u64 = 1;

fn observe() -> Verdict<([Outcome; 2], Vec<String>)> {
    let ends = [libc::SYS_getpgid, libc::SYS_sched_get_priority_max].map(|nr| call(nr, [0, 0, 0]));
    Ok((ends.map(|(value, errno)| (value.min(0), errno)), own_status(&["Seccomp", "Seccomp_filters"])?))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let filter = |nr, code| Filter::deny(&[(nr, None, errno(code))]);
    let different = child(gate, |gate| {
        static UP: Word = Word::new();
        static GO: Word = Word::new();
        let mut threads = Vec::new();
        for filters in 0..3 {
            threads.push(spawn(move || {
                for n in 0..filters {
                    must(
                        "a filter",
                        filter([libc::SYS_getpgid, libc::SYS_sched_get_priority_max][n], 50 + n as u32).install(0),
                    )?;
                }
                let before = observe()?;
                check_eq("the filters", before.1[1].clone(), filters.to_string())?;
                UP.bump();
                GO.wait_for(1);
                check_eq("calls, filters", observe()?, before)
            })?);
        }
        UP.wait_for(3);
        arrived.bump();
        gate.wait();
        check_eq("the main thread's filters", observe()?.1, vec!["0".to_owned(), "0".to_owned()])?;
        GO.set(1);
        threads.into_iter().try_for_each(|t| join(t)?)
    })?;
    let common = child(gate, |gate| {
        static UP: Word = Word::new();
        static GO: Word = Word::new();
        must("a filter", filter(libc::SYS_getpgid, 60).install(0))?;
        let other = spawn(|| {
            UP.bump();
            GO.wait_for(1);
            observe()
        })?;
        UP.wait_for(1);
        spawn(move || must("a filter for all", filter(libc::SYS_sched_get_priority_max, 61).install(TO_ALL_THREADS)))?
            .join()
            .or_else(|_| crate::gate::fail("a thread panicked"))??;
        let before = observe()?;
        check_eq("the calls before", before.0, [(-1, 60), (-1, 61)])?;
        arrived.bump();
        gate.wait();
        check_eq("calls, filters", observe()?, before.clone())?;
        GO.set(1);
        check_eq("calls, filters of the other thread", join(other)??, before)
    })?;
    arrived.wait_for(2);
    gate.checkpoint()?;
    wait_ok(different)?;
    wait_ok(common)
}
