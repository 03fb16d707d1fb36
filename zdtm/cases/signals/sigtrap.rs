//! SIGTRAP, which tracers use, stays what the program made of it: blocked with a handler, ignored, caught, and pending;
//! none comes that the program did not send.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{action, caught, change_mask, count, current_mask, dispose, mask, pending};
use crate::tools_tasks::{Word, child};

fn observe() -> Verdict<(crate::tools_signals::Action, u64, u64, u32)> {
    Ok((action(libc::SIGTRAP)?, current_mask(), pending(), caught(libc::SIGTRAP)))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let trap = mask(&[libc::SIGTRAP]);
    let arrived = Word::shared()?;
    let setups: [fn(u64) -> Verdict; 5] = [
        |trap| {
            change_mask(libc::SIG_BLOCK, trap);
            count(libc::SIGTRAP, 0)
        },
        |_| dispose(libc::SIGTRAP, libc::SIG_IGN),
        |_| count(libc::SIGTRAP, libc::SA_SIGINFO | libc::SA_RESTART),
        |trap| {
            change_mask(libc::SIG_BLOCK, trap);
            // SAFETY: the call takes a number only.
            unsafe { libc::raise(libc::SIGTRAP) };
            check_eq("SIGTRAP pending", pending(), trap)
        },
        |trap| {
            change_mask(libc::SIG_BLOCK, trap);
            dispose(libc::SIGTRAP, libc::SIG_IGN)
        },
    ];
    let mut children = Vec::new();
    for setup in setups {
        children.push(child(gate, |gate| {
            setup(trap)?;
            let before = observe()?;
            arrived.bump();
            gate.wait();
            check_eq("action, mask, pending, caught", observe()?, before)
        })?);
    }
    arrived.wait_for(5);
    gate.checkpoint()?;
    children.into_iter().try_for_each(wait_ok)
}
