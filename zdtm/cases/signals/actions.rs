//! The actions of all 64 signals: handler, flags, restorer and mask, bit for bit, in a process and in its child with
//! others.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_signals::{Action, action, set_action};
use crate::tools_tasks::{Word, child};

const FLAGS: [u64; 8] = [
    0,
    libc::SA_RESTART as u64,
    (libc::SA_SIGINFO | libc::SA_ONSTACK) as u64,
    libc::SA_NODEFER as u64,
    libc::SA_RESETHAND as u32 as u64,
    (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT) as u64,
    (libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_NODEFER) as u64,
    (libc::SA_RESTART | libc::SA_ONSTACK) as u64 | libc::SA_RESETHAND as u32 as u64,
];

/// The kernel keeps the restorer only where this flag says that there is one.
const RESTORER: u64 = 0x0400_0000;

/// Gives each signal an action that no other has; returns what the kernel kept.
fn set_all(salt: u64) -> Verdict<Vec<Action>> {
    for signal in 1..=64u64 {
        if [libc::SIGKILL, libc::SIGSTOP].contains(&(signal as i32)) {
            continue;
        }
        // No handler is ever called: no signal is sent.
        let handler = match (signal + salt) % 5 {
            0 => libc::SIG_IGN,
            1 => libc::SIG_DFL,
            _ => (0x10_0000 + signal * 0x1000 + salt) as usize,
        };
        let wanted = Action {
            handler,
            flags: FLAGS[((signal + salt) % 8) as usize] | RESTORER,
            restorer: (0x7000_0000 + signal * 16 + salt) as usize,
            mask: (0x0123_4567_89ab_cdef_u64.rotate_left(signal as u32) ^ salt) & !0x4_0100,
        };
        // SAFETY: the signal is never delivered.
        unsafe { set_action(signal as i32, &wanted)? };
        check_eq("what the kernel kept", action(signal as i32)?, wanted)?;
    }
    (1..=64).map(action).collect()
}

fn check_all(before: Vec<Action>) -> Verdict {
    for (before, signal) in before.into_iter().zip(1..) {
        check_eq(&format!("the action of signal {signal}"), action(signal)?, before)?;
    }
    Ok(())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let arrived = Word::shared()?;
    let may_end = Word::shared()?;
    let other = child(gate, |gate| {
        let before = set_all(7)?;
        arrived.bump();
        gate.wait();
        check_all(before)?;
        may_end.wait_for(1);
        Ok(())
    })?;
    arrived.wait_for(1);
    let chld = action(libc::SIGCHLD)?;
    let before = set_all(2)?;
    gate.checkpoint()?;
    check_all(before)?;
    // SAFETY: this is the action that the program began with: the child's end must be no fault.
    unsafe { set_action(libc::SIGCHLD, &chld)? };
    may_end.bump();
    wait_ok(other)
}
