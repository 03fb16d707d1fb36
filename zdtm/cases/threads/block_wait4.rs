//! Threads blocked in wait4 and waitid get the ends of children that exit after the restore.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{Word, child, peek_end, wait_status};
use crate::tools_threads::Call;

pub fn run(gate: &mut Gate) -> Verdict {
    let leave = Word::shared()?;
    let mut make = |code: i32| {
        child(gate, |_| {
            leave.wait_for(1);
            // SAFETY: _exit only ends the process.
            unsafe { libc::_exit(code) }
        })
    };
    let (first, second) = (make(50)?, make(51)?);
    let wait = Call::start(libc::SYS_wait4, move || wait_status(first.as_raw(), libc::WUNTRACED))?;
    let peek = Call::start(libc::SYS_waitid, move || peek_end(second))?;
    gate.checkpoint()?;
    wait.still()?;
    peek.still()?;
    leave.set(1);
    check_eq("the wait", wait.result()?, (i64::from(first.as_raw()), 50 << 8))?;
    check_eq("the peek", peek.result()??, (libc::CLD_EXITED, 51, 0))?;
    check_eq("the second child", wait_status(second.as_raw(), 0), (i64::from(second.as_raw()), 51 << 8))
}
