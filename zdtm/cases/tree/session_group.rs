//! Children and grandchildren keep their pid, parent, process group and session: a child that leads a session, a group
//! inside it, a group in the session of the root, and tasks that lead nothing.
use crate::gate::{Gate, Verdict};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, stay};
use nix::unistd::{Pid, setpgid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let session = child(gate, |gate| {
        setsid()?;
        let group = child(gate, |gate| {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            let inner = child(gate, |gate| stay(gate, arrived))?;
            stay(gate, arrived)?;
            wait_ok(inner)
        })?;
        let plain = child(gate, |gate| stay(gate, arrived))?;
        stay(gate, arrived)?;
        wait_ok(group)?;
        wait_ok(plain)
    })?;
    let group = child(gate, |gate| {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        stay(gate, arrived)
    })?;
    arrived.wait_for(5);
    gate.checkpoint()?;
    wait_ok(session)?;
    wait_ok(group)
}
