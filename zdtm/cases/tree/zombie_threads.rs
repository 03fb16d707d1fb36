//! Zombies of processes with several threads: one ended by a thread's exit_group, one whose threads all left one by
//! one, and one killed as a whole. The status is the whole process's.
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_tasks::{await_state, child, peek_end, wait_status};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Ends this thread alone.
fn exit_thread(code: i32) -> ! {
    // SAFETY: the thread holds nothing that others need.
    unsafe { libc::syscall(libc::SYS_exit, code) };
    unreachable!("SYS_exit does not return")
}

pub fn run(gate: &mut Gate) -> Verdict {
    let group = child(gate, |_| {
        // SAFETY: _exit only ends the process.
        spawn(|| unsafe { libc::_exit(9) }).join().or_else(|_| fail("unreachable"))
    })?;
    let one_by_one = child(gate, |_| {
        spawn(|| {
            sleep(Duration::from_millis(50));
            exit_thread(4)
        });
        exit_thread(3)
    })?;
    let killed = child(gate, |_| {
        for _ in 0..3 {
            spawn(|| sleep(Duration::from_secs(1000)));
        }
        // SAFETY: the calls take numbers only.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        fail("the signal did not kill")
    })?;
    let mut ends = Vec::new();
    for zombie in [group, one_by_one, killed] {
        // A process is a zombie for its parent when its last thread has left.
        let end = peek_end(zombie)?;
        await_state(zombie, "Z")?;
        ends.push((zombie, end));
    }
    gate.checkpoint()?;
    for (zombie, end) in ends {
        check_eq("the end", peek_end(zombie)?, end)?;
        let status = if end.0 == libc::CLD_EXITED { end.1 << 8 } else { end.1 };
        check_eq("the status", wait_status(zombie.as_raw(), 0), (i64::from(zombie.as_raw()), status))?;
    }
    Ok(())
}
