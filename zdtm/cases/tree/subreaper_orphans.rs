//! Orphans that came to the subreaper before the dump, each with the session of its vanished or living former parent and
//! with children of its own.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_that, child, must, prctl, stay};
use nix::unistd::{Pid, getpid, getppid, getsid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    must("PR_SET_CHILD_SUBREAPER", prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    let (arrived, pids) = (Word::shared()?, Word::shared_many(2)?);
    let root = getpid();
    // A living session leader; its children vanish, its grandchildren are orphans in its session.
    let leader = child(gate, |gate| {
        setsid()?;
        for pid in pids {
            let middle = child(gate, |gate| {
                let orphan = gate.fork(|gate| {
                    await_that("the new parent", || Ok(getppid() == root))?;
                    let own = child(gate, |gate| stay(gate, arrived))?;
                    stay(gate, arrived)?;
                    wait_ok(own)
                })?;
                pid.set(orphan.as_raw() as u32);
                Ok(())
            })?;
            wait_ok(middle)?;
        }
        stay(gate, arrived)
    })?;
    arrived.wait_for(5);
    gate.checkpoint()?;
    for pid in pids {
        let orphan = Pid::from_raw(pid.get() as i32);
        check_eq("the orphan's session", getsid(Some(orphan))?, leader)?;
        wait_ok(orphan)?;
    }
    wait_ok(leader)
}
