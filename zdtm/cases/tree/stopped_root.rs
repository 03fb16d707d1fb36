//! The root of the tree is stopped itself, while its child runs: it comes back stopped, and goes on when the child sends
//! SIGCONT.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_tasks::{Word, await_state, child, task_state};
use nix::unistd::getpid;

pub fn run(gate: &mut Gate) -> Verdict {
    let rounds = Word::shared()?;
    let root = getpid();
    let waker = child(gate, |gate| {
        // SAFETY: the call takes numbers only.
        unsafe { libc::kill(root.as_raw(), libc::SIGSTOP) };
        await_state(root, "T")?;
        let before = rounds.get();
        gate.checkpoint()?;
        check_eq("the root's state", task_state(root)?, "T".to_owned())?;
        check_eq("the rounds of a stopped task", rounds.get(), before)?;
        // SAFETY: the call takes numbers only.
        unsafe { libc::kill(root.as_raw(), libc::SIGCONT) };
        rounds.wait_for(before + 10);
        Ok(())
    })?;
    while !gate.passed() || task_state(waker)? != "Z" {
        rounds.bump();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    check("the rounds were counted", rounds.get() >= 10)?;
    wait_ok(waker)
}
