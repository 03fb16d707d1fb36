//! A session whose leader has exited and was reaped keeps its members, in the leader's group and in groups of their
//! own; the orphans belong to the subreaper.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, must, prctl, stay};
use nix::unistd::{Pid, getpid, getppid, getsid, setpgid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    must("PR_SET_CHILD_SUBREAPER", prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    let arrived = Word::shared()?;
    let pids = Word::shared_many(2)?;
    let reaper = getpid();
    let leader = child(gate, |gate| {
        setsid()?;
        for (i, pid) in pids.iter().enumerate() {
            let member = gate.fork(|gate| {
                if i == 1 {
                    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
                }
                while getppid() != reaper {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                stay(gate, arrived)
            })?;
            pid.set(member.as_raw() as u32);
        }
        Ok(())
    })?;
    wait_ok(leader)?;
    arrived.wait_for(2);
    gate.checkpoint()?;
    for pid in pids {
        let member = Pid::from_raw(pid.get() as i32);
        check_eq("the session", getsid(Some(member))?, leader)?;
        wait_ok(member)?;
    }
    Ok(())
}
