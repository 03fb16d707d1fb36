//! A job whose session is led from outside of the pid namespace: the root in it, a child that leads a group, one that
//! has a session of its own.
//@ session: outside
//@ options: -j
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, child};
use nix::unistd::{Pid, getpgid, getpgrp, getsid, setpgid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let group = child(gate, |gate| {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        arrived.bump();
        gate.wait();
        Ok(())
    })?;
    let session = child(gate, |gate| {
        setsid()?;
        arrived.bump();
        gate.wait();
        Ok(())
    })?;
    arrived.wait_for(2);
    let outside = Pid::from_raw(0);
    let look = || {
        Ok::<_, nix::Error>([
            getsid(None)?,
            getpgrp(),
            getsid(Some(group))?,
            getpgid(Some(group))?,
            getsid(Some(session))?,
        ])
    };
    check_eq("sessions and groups", look()?, [outside, outside, outside, group, session])?;
    gate.checkpoint()?;
    check_eq("sessions and groups", look()?, [outside, outside, outside, group, session])?;
    wait_ok(group)?;
    wait_ok(session)
}
