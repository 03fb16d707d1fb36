//! Zombies whose parent died before it reaped them belong to the subreaper, which reaps them with their own status.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_state, child, must, prctl, stat_fields, wait_status};
use nix::unistd::{Pid, getpid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    must("PR_SET_CHILD_SUBREAPER", prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    let pids = Word::shared_many(2)?;
    let middle = child(gate, |gate| {
        for (i, pid) in pids.iter().enumerate() {
            let zombie = gate.fork(|_| {
                setsid()?;
                // SAFETY: _exit only ends the process.
                unsafe { libc::_exit(40 + i as i32) }
            })?;
            pid.set(zombie.as_raw() as u32);
            await_state(zombie, "Z")?;
        }
        Ok(())
    })?;
    wait_ok(middle)?;
    gate.checkpoint()?;
    for (i, pid) in pids.iter().enumerate() {
        let pid = pid.get() as i32;
        let fields = stat_fields(&format!("/proc/{}/stat", Pid::from_raw(pid)))?;
        let (root, own) = (getpid().to_string(), pid.to_string());
        check_eq("state, parent, group, session", fields[..4].to_vec(), ["Z".into(), root, own.clone(), own].to_vec())?;
        check_eq("the status", wait_status(pid, 0), (i64::from(pid), (40 + i as i32) << 8))?;
    }
    Ok(())
}
