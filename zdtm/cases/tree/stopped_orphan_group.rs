//! A stopped task in an orphaned process group whose leader is gone stays stopped: no SIGHUP and no SIGCONT comes to it,
//! as would happen if a group became orphaned while a member is stopped.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::{status_field, wait_ok};
use crate::tools_signals::{caught, count};
use crate::tools_tasks::{Word, await_state, await_that, child, must, prctl, task_state};
use nix::unistd::{Pid, getppid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    must("PR_SET_CHILD_SUBREAPER", prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    let (ready, go) = (Word::shared()?, Word::shared()?);
    let pid = Word::shared()?;
    let leader = child(gate, |gate| {
        let leader = setsid()?;
        let member = gate.fork(|_| {
            count(libc::SIGHUP, 0)?;
            count(libc::SIGCONT, 0)?;
            await_that("the leader's end", || Ok(getppid() != leader))?;
            ready.bump();
            go.wait_for(1);
            check_eq("SIGHUP, SIGCONT", [libc::SIGHUP, libc::SIGCONT].map(caught), [0, 1])
        })?;
        pid.set(member.as_raw() as u32);
        Ok(())
    })?;
    wait_ok(leader)?;
    ready.wait_for(1);
    let member = Pid::from_raw(pid.get() as i32);
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(member.as_raw(), libc::SIGSTOP) };
    await_state(member, "T")?;
    gate.checkpoint()?;
    check_eq("the member's state", task_state(member)?, "T".to_owned())?;
    check_eq("pending signals", status_field(&member.to_string(), "ShdPnd")?, "0".repeat(16))?;
    go.set(1);
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(member.as_raw(), libc::SIGCONT) };
    wait_ok(member)
}
