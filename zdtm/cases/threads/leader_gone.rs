//! The root of the tree lost its main thread: another thread of it checks the state and ends the process.
//@ needs: [kernel:pidfd_thread]
use crate::gate::{Gate, Verdict, check_eq, conclude};
use crate::tools_tasks::{await_that, gettid, stat_fields};
use crate::tools_threads::spawn;
use nix::unistd::{getpgrp, getpid, getsid};

fn observe() -> Verdict<(i32, [nix::unistd::Pid; 3], String)> {
    let state = stat_fields("/proc/self/stat")?[0].clone();
    Ok((gettid(), [getpid(), getpgrp(), getsid(None)?], state))
}

fn life(gate: &mut Gate) -> Verdict {
    await_that("the main thread's end", || Ok(stat_fields("/proc/self/stat")?[0] == "Z"))?;
    let before = observe()?;
    gate.checkpoint()?;
    check_eq("thread id, ids, state of the leader", observe()?, before)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut own = Gate::open(gate.dir().to_owned())?;
    spawn(move || {
        let verdict = life(&mut own);
        let code = conclude(own.dir(), &verdict);
        // SAFETY: _exit only ends the process.
        unsafe { libc::_exit(code) }
    })?;
    // SAFETY: ends the main thread alone; what the other thread uses it owns.
    unsafe { libc::syscall(libc::SYS_exit, 9) };
    unreachable!("SYS_exit does not return")
}
