//! A return address that was signed before the dump is accepted after it: the thread keeps its keys.
//@ needs: [paca]
use crate::gate::{Gate, Verdict, check, check_eq};

/// Signs and checks by the instruction key A and by the generic key, which are hints where the CPU has none.
fn sign(pointer: u64, context: u64) -> (u64, u64) {
    let (mut signed, generic) = (pointer, 0u64);
    let mut generic = generic;
    // SAFETY: the instructions change their registers only.
    unsafe {
        core::arch::asm!(
            ".arch_extension pauth",
            "pacia {signed}, {context}", "pacga {generic}, {pointer}, {context}",
            signed = inout(reg) signed, context = in(reg) context, generic = inout(reg) generic,
            pointer = in(reg) pointer,
        );
    }
    (signed, generic)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let pointer = run as *const () as u64;
    let before: Vec<_> = (0..8).map(|context| sign(pointer, context * 77)).collect();
    check("the keys do something", before.iter().any(|(signed, _)| *signed != pointer))?;
    gate.checkpoint()?;
    let after: Vec<_> = (0..8).map(|context| sign(pointer, context * 77)).collect();
    check_eq("what the keys make of pointers", after, before)
}
