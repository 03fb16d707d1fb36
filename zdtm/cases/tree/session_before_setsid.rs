//! Children born before their parent became a session leader keep the old session, and the group they were in, while
//! their younger siblings are in the new one.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, stay};
use nix::unistd::{Pid, getsid, setpgid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let middle = child(gate, |gate| {
        let old = getsid(None)?;
        let elder = child(gate, |gate| stay(gate, arrived))?;
        let grouped = child(gate, |gate| {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            stay(gate, arrived)
        })?;
        let new = setsid()?;
        check("the session is new", new != old)?;
        let younger = child(gate, |gate| stay(gate, arrived))?;
        stay(gate, arrived)?;
        let sessions = [getsid(Some(elder))?, getsid(Some(grouped))?, getsid(None)?, getsid(Some(younger))?];
        check_eq("sessions", sessions, [old, old, new, new])?;
        [elder, grouped, younger].into_iter().try_for_each(wait_ok)
    })?;
    arrived.wait_for(4);
    gate.checkpoint()?;
    wait_ok(middle)
}
