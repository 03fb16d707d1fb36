//! A child of the root that lives in the session of its sibling: the sibling became a session leader and made it with
//! CLONE_PARENT. Only the sibling can make it again.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child, clone_child, stay};
use nix::unistd::{Pid, getpid, getppid, getsid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let made = Word::shared()?;
    let root = getpid();
    let leader = child(gate, |gate| {
        setsid()?;
        let sibling = clone_child(gate, (libc::CLONE_PARENT, 0, 0), |gate| {
            check_eq("the parent of the sibling", getppid(), root)?;
            stay(gate, arrived)
        })?;
        made.set(sibling.as_raw() as u32);
        stay(gate, arrived)
    })?;
    arrived.wait_for(2);
    gate.checkpoint()?;
    let sibling = Pid::from_raw(made.get() as i32);
    check_eq("the sibling's session", getsid(Some(sibling))?, leader)?;
    wait_ok(leader)?;
    wait_ok(sibling)
}
