//! A child that was stopped and continued, which its parent has not asked for yet: the wait for it tells so once.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_state, child, wait_status};

pub fn run(gate: &mut Gate) -> Verdict {
    let running = Word::shared()?;
    let continued = child(gate, |gate| {
        // SAFETY: the call takes a number only.
        unsafe { libc::raise(libc::SIGSTOP) };
        running.bump();
        gate.wait();
        running.wait_for(2);
        Ok(())
    })?;
    await_state(continued, "T")?;
    let raw = continued.as_raw();
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(raw, libc::SIGCONT) };
    running.wait_for(1);
    gate.checkpoint()?;
    let options = libc::WCONTINUED | libc::WUNTRACED | libc::WNOHANG;
    check_eq("the report", wait_status(raw, options), (i64::from(raw), 0xffff))?;
    check_eq("a second report", wait_status(raw, options), (0, 0))?;
    running.set(2);
    wait_ok(continued)
}
