//! A process of a thousand threads that is a parent: its children are found among so many, and stay its own.
//@ timeout: 60
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, child, die_with_parent, wait_status};
use crate::tools_threads::count_in_threads;
use std::time::Duration;

pub fn run(gate: &mut Gate) -> Verdict {
    let (arrived, leave) = (Word::shared()?, Word::shared()?);
    let mut children = Vec::new();
    for _ in 0..2 {
        children.push(child(gate, |_| {
            die_with_parent()?;
            arrived.bump();
            leave.wait_for(1);
            Ok(())
        })?);
    }
    arrived.wait_for(2);
    count_in_threads(gate, 1000, Duration::from_millis(200))?;
    leave.set(1);
    children.into_iter().try_for_each(|child| {
        check_eq("the end of a child", wait_status(child.as_raw(), 0), (i64::from(child.as_raw()), 0))
    })
}
