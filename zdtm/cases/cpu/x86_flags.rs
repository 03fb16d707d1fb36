//! The flags register keeps the arithmetic flags, the direction flag and the alignment check, each set and each clear.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::{Spin, spin_all};

/// Carry, parity, auxiliary, zero, sign, direction, overflow, alignment check.
const ALL: u64 = 0x04_0cd5;
/// Always set in a user program: bit 1 and interrupts.
const FIXED: u64 = 0x202;

fn spin_flags(words: &'static Spin, flags: u64) -> u64 {
    let after: u64;
    // SAFETY: the loop reads and writes the two words only; the flags are put back as compiled code expects them.
    unsafe {
        core::arch::asm!(
            "push {flags}; popfq",
            "mov dword ptr [rdi + 4], 1",
            // No instruction here changes a flag.
            "2: pause; mov ecx, [rdi]; jecxz 2b",
            "pushfq; pop {after}",
            "push 0x202; popfq",
            flags = in(reg) flags,
            after = lateout(reg) after,
            in("rdi") words,
            out("rcx") _,
        );
    }
    after
}

pub fn run(gate: &mut Gate) -> Verdict {
    let sets = [ALL, 0, 0x400, 0x04_0041, 0x0894].map(|set| set | FIXED);
    let bodies =
        sets.map(|set| -> Box<dyn FnOnce(&'static Spin) -> u64 + Send> { Box::new(move |w| spin_flags(w, set)) });
    check_eq("the flags of each thread", spin_all(gate, bodies.into())?, sets.to_vec())
}
