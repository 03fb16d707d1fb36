//! Process groups as a shell makes them for pipelines: siblings in the group of another sibling, also of a younger one
//! (moved there later), a child moved back to the group of the root, and a member whose own children stay behind.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child};
use nix::unistd::{Pid, getpgid, getpgrp, setpgid};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(child(gate, |gate| {
            let inner = child(gate, |gate| {
                let group = getpgrp();
                arrived.bump();
                gate.wait();
                check_eq("the group of a member's child", getpgrp(), group)
            })?;
            arrived.bump();
            gate.wait();
            wait_ok(inner)
        })?);
    }
    arrived.wait_for(10);
    let own = getpgrp();
    let wanted = [jobs[3], jobs[3], own, jobs[3], jobs[4]];
    setpgid(jobs[3], jobs[3])?;
    setpgid(jobs[4], jobs[4])?;
    setpgid(jobs[2], jobs[3])?;
    for (job, group) in jobs.iter().zip(wanted) {
        setpgid(*job, group)?;
    }
    gate.checkpoint()?;
    let groups = jobs.iter().map(|j| getpgid(Some(*j))).collect::<Result<Vec<Pid>, _>>()?;
    check_eq("the groups", groups, wanted.to_vec())?;
    jobs.into_iter().try_for_each(wait_ok)
}
