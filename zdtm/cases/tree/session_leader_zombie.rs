//! The leader of a session and the leader of a group are zombies that nobody has reaped yet; their members live, and
//! the zombies keep their own ids and exit codes.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_state, child, must, prctl, stay, wait_status};
use nix::unistd::{Pid, getpgid, getppid, getsid, setpgid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    must("PR_SET_CHILD_SUBREAPER", prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    let arrived = Word::shared()?;
    let member_pid = Word::shared()?;
    let session = child(gate, |gate| {
        let leader = setsid()?;
        let member = gate.fork(|gate| {
            while getppid() == leader {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            stay(gate, arrived)
        })?;
        member_pid.set(member.as_raw() as u32);
        // SAFETY: _exit only ends the process.
        unsafe { libc::_exit(11) }
    })?;
    let group = child(gate, |_| {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        arrived.wait_for(2);
        // SAFETY: _exit only ends the process.
        unsafe { libc::_exit(12) }
    })?;
    let job = child(gate, |gate| {
        while setpgid(Pid::from_raw(0), group).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        stay(gate, arrived)
    })?;
    await_state(session, "Z")?;
    await_state(group, "Z")?;
    gate.checkpoint()?;
    let member = Pid::from_raw(member_pid.get() as i32);
    check_eq("sessions", [getsid(Some(session))?, getsid(Some(member))?], [session; 2])?;
    check_eq("groups", [getpgid(Some(group))?, getpgid(Some(job))?], [group; 2])?;
    check_eq("the session leader's end", wait_status(session.as_raw(), 0), (i64::from(session.as_raw()), 11 << 8))?;
    check_eq("the group leader's end", wait_status(group.as_raw(), 0), (i64::from(group.as_raw()), 12 << 8))?;
    wait_ok(member)?;
    wait_ok(job)
}
