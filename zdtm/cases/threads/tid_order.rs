//! Threads whose ids are smaller than their process's and not in order of their birth.
//@ needs: [cap:checkpoint_restore]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, clone_child, die_with_parent, gettid};
use crate::tools_threads::{join, spawn};

/// Sets the number after which the kernel looks for the next thread id.
fn after(tid: i32) -> Verdict {
    Ok(std::fs::write("/proc/sys/kernel/ns_last_pid", (tid - 1).to_string())?)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (arrived, go) = (Word::shared()?, Word::shared()?);
    let process = clone_child(gate, (0, libc::SIGCHLD, 4000), |_| {
        die_with_parent()?;
        let mut threads = Vec::new();
        for wanted in [3500, 600, 4500, 550] {
            after(wanted)?;
            threads.push(spawn(move || {
                let before = gettid();
                // Another task may have taken the number wanted; the order is what matters.
                check("a thread id near the one wanted", (wanted..wanted + 40).contains(&before))?;
                arrived.bump();
                go.wait_for(1);
                check_eq("the thread's id", gettid(), before)
            })?);
        }
        threads.into_iter().try_for_each(|t| {
            go.wait_for(1);
            join(t)?
        })
    })?;
    arrived.wait_for(4);
    gate.checkpoint()?;
    go.set(1);
    wait_ok(process)
}
