//! A program that traps each of its own instructions (trap flag, SIGTRAP handler) while it is frozen: there is exactly
//! one trap for each instruction, none lost and none of another's making.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::{caught, count};
use crate::tools_spin::{Spin, spin};

/// Runs the loop with the trap flag on until the word says stop; returns how often it went round.
fn trapped_loop(words: &Spin) -> u32 {
    let rounds: u64;
    // SAFETY: the loop reads and writes the two words only; each trap runs a handler that counts.
    unsafe {
        core::arch::asm!(
            "pushfq; or qword ptr [rsp], 0x100; popfq",
            "2: inc {rounds}",
            "mov dword ptr [{words} + 4], 1",
            "cmp dword ptr [{words}], 0",
            "je 2b",
            "pushfq; and qword ptr [rsp], -257; popfq",
            rounds = inout(reg) 0u64 => rounds,
            words = in(reg) words,
        );
    }
    rounds as u32
}

pub fn run(gate: &mut Gate) -> Verdict {
    count(libc::SIGTRAP, 0)?;
    let once = Spin::new();
    once.stop.set(1);
    check_eq("the rounds of a loop that stops at once", trapped_loop(&once), 1)?;
    // Four instructions a round; the rest is the way in and out.
    let frame = caught(libc::SIGTRAP) - 4;
    let first = caught(libc::SIGTRAP);
    let rounds = spin(gate, |words| trapped_loop(words))?;
    check("several rounds", rounds > 1)?;
    check_eq("the traps", caught(libc::SIGTRAP) - first, rounds.wrapping_mul(4).wrapping_add(frame))
}
