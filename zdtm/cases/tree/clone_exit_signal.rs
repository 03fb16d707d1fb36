//! Children keep the signal that they send at their end: another than SIGCHLD, or none. Such children are found only by
//! a wait that asks for clones, alive and as zombies.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{caught, count};
use crate::tools_tasks::{Word, await_state, clone_child, die_with_parent, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    count(libc::SIGUSR1, libc::SA_RESTART)?;
    count(libc::SIGUSR2, libc::SA_RESTART)?;
    count(libc::SIGCHLD, libc::SA_RESTART)?;
    let leave = Word::shared()?;
    let mut make = |signal, code: i32, step: u32| {
        clone_child(gate, (0, signal, 0), |_| {
            die_with_parent()?;
            leave.wait_for(step);
            // SAFETY: _exit only ends the process.
            unsafe { libc::_exit(code) }
        })
    };
    let zombies = [(make(libc::SIGUSR2, 2, 0)?, 2), (make(0, 3, 0)?, 3)];
    let live = [(make(libc::SIGUSR1, 4, 1)?, 4), (make(0, 5, 1)?, 5), (make(libc::SIGCHLD, 6, 1)?, 6)];
    for (zombie, _) in zombies {
        await_state(zombie, "Z")?;
    }
    gate.checkpoint()?;
    leave.set(1);
    for (pid, code) in zombies.into_iter().chain(live) {
        await_state(pid, "Z")?;
        let raw = pid.as_raw();
        if code != 6 {
            check_eq("a wait that does not ask for clones", wait_status(raw, libc::WNOHANG), (-1, libc::ECHILD))?;
        }
        check_eq("the status", wait_status(raw, libc::__WALL), (i64::from(raw), code << 8))?;
    }
    let signals = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGCHLD].map(caught);
    check_eq("the signals that came", signals, [1, 1, 1])
}
