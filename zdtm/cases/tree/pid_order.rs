//! Descendants with smaller pids than their parents: the order of the pids is not the order of birth.
//@ needs: [cap:checkpoint_restore]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, clone_child, die_with_parent, stay};
use nix::unistd::{Pid, getpid};

fn descend(gate: &mut Gate, arrived: &Word, pids: &[i32]) -> Verdict {
    let Some((pid, rest)) = pids.split_first() else { return stay(gate, arrived) };
    let made = clone_child(gate, (0, libc::SIGCHLD, *pid), |gate| {
        die_with_parent()?;
        descend(gate, arrived, rest)?;
        check_eq("the pid", getpid(), Pid::from_raw(*pid))
    })?;
    stay(gate, arrived)?;
    check_eq("the child's pid", made.as_raw(), *pid)?;
    wait_ok(made)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let top = clone_child(gate, (0, libc::SIGCHLD, 3000), |gate| {
        die_with_parent()?;
        descend(gate, arrived, &[2000, 400, 2500, 350])
    })?;
    arrived.wait_for(5);
    gate.checkpoint()?;
    wait_ok(top)
}
