//! The identification flag, a bit that means nothing but can be set, which tracers cannot write: only the program itself.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::{Spin, spin_all};

const FLAG: u64 = 0x20_0000;

fn spin_flag(words: &'static Spin, flags: u64) -> u64 {
    let after: u64;
    // SAFETY: the loop reads and writes the two words only; the flags are put back as compiled code expects them.
    unsafe {
        core::arch::asm!(
            "push {flags}; popfq",
            "mov dword ptr [rdi + 4], 1",
            "2: pause; cmp dword ptr [rdi], 0; je 2b",
            "pushfq; pop {after}",
            "push 0x202; popfq",
            flags = in(reg) flags,
            after = lateout(reg) after,
            in("rdi") words,
        );
    }
    after & FLAG
}

pub fn run(gate: &mut Gate) -> Verdict {
    let bodies = [FLAG, 0]
        .map(|flag| -> Box<dyn FnOnce(&'static Spin) -> u64 + Send> { Box::new(move |w| spin_flag(w, flag | 0x202)) });
    check_eq("the flag of each thread", spin_all(gate, bodies.into())?, vec![FLAG, 0])
}
