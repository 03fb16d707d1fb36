//! A root that made its session after it had a child: the child is still in the session of the shell that started them.
//@ session: shell
//@ options: -j
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::child;
use nix::unistd::{getpgrp, getpid, getppid, getsid, setsid};

pub fn run(gate: &mut Gate) -> Verdict {
    let shell = getppid();
    check_eq("the session before", getsid(None)?, shell)?;
    let left = child(gate, |gate| {
        gate.wait();
        check_eq("the session and group of who was left", (getsid(None)?, getpgrp()), (shell, shell))
    })?;
    setsid()?;
    gate.checkpoint()?;
    check_eq("the own session and group", (getsid(None)?, getpgrp()), (getpid(), getpid()))?;
    check_eq("the session of the child", getsid(Some(left))?, shell)?;
    wait_ok(left)
}
