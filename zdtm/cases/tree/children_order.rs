//! Children whose pids fall from one to the next stay in the order in which they were made: in /proc and for a wait for
//! any of them.
//@ needs: [cap:checkpoint_restore]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, await_state, clone_child, wait_status};
use nix::unistd::Pid;

/// The children of this task as the kernel lists them.
fn listed() -> Verdict<Vec<i64>> {
    let text = std::fs::read_to_string("/proc/thread-self/children")?;
    Ok(text.split_whitespace().filter_map(|p| p.parse().ok()).collect())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (arrived, leave) = (Word::shared()?, Word::shared()?);
    let wanted: Vec<i64> = vec![3100, 2100, 2105, 1100, 900];
    for pid in &wanted {
        clone_child(gate, (0, libc::SIGCHLD, *pid as i32), |_| {
            crate::tools_tasks::die_with_parent()?;
            arrived.bump();
            leave.wait_for(1);
            Ok(())
        })?;
    }
    arrived.wait_for(5);
    gate.checkpoint()?;
    check_eq("the children listed in /proc", listed()?, wanted.clone())?;
    leave.set(1);
    for pid in &wanted {
        await_state(Pid::from_raw(*pid as i32), "Z")?;
    }
    let reaped: Vec<i64> = wanted.iter().map(|_| wait_status(-1, 0).0).collect();
    check_eq("the order of reaping", reaped, wanted)
}
