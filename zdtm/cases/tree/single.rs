//! One process keeps its pid, its parent, its group and its session, and the values of its variables.
use crate::gate::{Gate, Verdict, check_eq};
use nix::unistd::{Pid, getpgrp, getpid, getppid, getsid};

pub fn run(gate: &mut Gate) -> Verdict {
    let before = (getpid(), getpgrp(), getsid(None)?);
    let has_parent = getppid() != Pid::from_raw(0);
    let value = std::hint::black_box(0x5ca1_ab1e_u32);
    gate.checkpoint()?;
    check_eq("pid, pgid, sid", (getpid(), getpgrp(), getsid(None)?), before)?;
    check_eq("having a parent", getppid() != Pid::from_raw(0), has_parent)?;
    check_eq("a value on the stack", value, 0x5ca1_ab1e)
}
