//! A process group whose leader has exited and was reaped keeps its members: they stay in it, a signal to the group
//! reaches all of them, and a member can still be moved into it.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{caught, count};
use crate::tools_tasks::{Word, await_that, child};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgid, getpgrp, setpgid};

pub fn run(gate: &mut Gate) -> Verdict {
    let (arrived, leave) = (Word::shared()?, Word::shared()?);
    let leader = child(gate, |_| {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        arrived.bump();
        leave.wait_for(1);
        Ok(())
    })?;
    arrived.wait_for(1);
    let mut members = Vec::new();
    for _ in 0..2 {
        members.push(child(gate, |gate| {
            setpgid(Pid::from_raw(0), leader)?;
            count(libc::SIGUSR1, 0)?;
            arrived.bump();
            gate.wait();
            check_eq("the group", getpgrp(), leader)?;
            await_that("the group's signal", || Ok(caught(libc::SIGUSR1) == 1))
        })?);
    }
    let latecomer = child(gate, |gate| {
        arrived.bump();
        gate.wait();
        leave.wait_for(2);
        check_eq("the latecomer's group", getpgrp(), leader)
    })?;
    arrived.wait_for(4);
    leave.set(1);
    wait_ok(leader)?;
    gate.checkpoint()?;
    for member in &members {
        check_eq("the group seen from outside", getpgid(Some(*member))?, leader)?;
    }
    killpg(leader, Signal::SIGUSR1)?;
    setpgid(latecomer, leader)?;
    leave.set(2);
    members.into_iter().try_for_each(wait_ok)?;
    wait_ok(latecomer)
}
