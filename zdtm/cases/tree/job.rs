//! A job of a shell: the session is led by a process outside the tree, a pipeline has a group of its own.
//@ session: shell
//@ options: -j
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::child;
use nix::unistd::{getpgid, getpgrp, getppid, getsid, setpgid};

pub fn run(gate: &mut Gate) -> Verdict {
    let shell = getppid();
    let member = |gate: &mut Gate| {
        child(gate, |gate| {
            gate.wait();
            Ok(())
        })
    };
    let (first, second) = (member(gate)?, member(gate)?);
    setpgid(first, first)?;
    setpgid(second, first)?;
    let look = || Ok::<_, nix::Error>([getsid(None)?, getpgrp(), getsid(Some(second))?, getpgid(Some(second))?]);
    check_eq("sessions and groups", look()?, [shell, shell, shell, first])?;
    gate.checkpoint()?;
    check_eq("sessions and groups", look()?, [shell, shell, shell, first])?;
    wait_ok(first)?;
    wait_ok(second)
}
