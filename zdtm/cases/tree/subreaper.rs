//! A child subreaper stays one: a grandchild orphaned after the restore becomes its child. A nested subreaper keeps its
//! own orphans, and a task that is none says so.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_that, child, must, prctl};
use nix::unistd::{Pid, getpid, getppid};

fn is_subreaper() -> Verdict<i32> {
    let mut value: i32 = -1;
    // SAFETY: the kernel writes one int to `value`.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut value) };
    Ok(value)
}

/// Makes a child that makes an orphan after the gate; the orphan must come to `reaper`.
fn orphan_later(gate: &mut Gate, arrived: &'static Word, pid: &'static Word) -> Verdict<Pid> {
    let reaper = getpid();
    child(gate, |gate| {
        let orphan = gate.fork(|gate| {
            arrived.bump();
            gate.wait();
            await_that("the new parent", || Ok(getppid() == reaper))
        })?;
        pid.set(orphan.as_raw() as u32);
        gate.wait();
        check_eq("being a subreaper", is_subreaper()?, 0)
    })
}

pub fn run(gate: &mut Gate) -> Verdict {
    must("PR_SET_CHILD_SUBREAPER", prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    let (arrived, pids) = (Word::shared()?, Word::shared_many(2)?);
    let middle = orphan_later(gate, arrived, &pids[0])?;
    let nested = child(gate, |gate| {
        must("PR_SET_CHILD_SUBREAPER", prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
        let middle = orphan_later(gate, arrived, &pids[1])?;
        gate.wait();
        wait_ok(middle)?;
        wait_ok(Pid::from_raw(pids[1].get() as i32))
    })?;
    arrived.wait_for(2);
    gate.checkpoint()?;
    check_eq("being a subreaper", is_subreaper()?, 1)?;
    wait_ok(middle)?;
    wait_ok(Pid::from_raw(pids[0].get() as i32))?;
    wait_ok(nested)
}
