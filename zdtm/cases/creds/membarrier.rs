//! The kinds of memory barrier that a process registered for are still open to it, and no others.
use crate::gate::{Gate, Verdict};
use crate::tools_creds::{Setup, call, each_child, must_call};
use crate::tools_tasks::Outcome;

/// Commands of membarrier(2): the barriers that need a registration, and the list of registrations (kernel 6.3).
const BARRIERS: [i64; 4] = [8, 32, 128, 512];

fn observe() -> Verdict<[Outcome; 4]> {
    Ok(BARRIERS.map(|command| call(libc::SYS_membarrier, [command, 0, 0])))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let supported = must_call(libc::SYS_membarrier, [0, 0, 0])?;
    // Global expedited, private expedited, synchronising cores, restartable sequences: each alone and all together.
    let register = |commands: Vec<i64>| -> Setup {
        Box::new(move || {
            commands
                .iter()
                .filter(|c| supported & **c != 0)
                .try_for_each(|command| must_call(libc::SYS_membarrier, [*command, 0, 0]).map(drop))
        })
    };
    each_child(gate, vec![register(vec![4, 16]), register(vec![16]), register(vec![16, 64, 256, 4])], observe)
}
