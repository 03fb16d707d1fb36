//! MXCSR keeps rounding, flush to zero, denormals are zero, unmasked exceptions and the exceptions noted, in each thread.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::{Spin, spin_all};

fn spin_mxcsr(words: &'static Spin, value: u32) -> u32 {
    let (mut after, plain) = (0u32, 0x1f80u32);
    // SAFETY: the loop reads and writes the two words only; the register is put back as compiled code expects it.
    unsafe {
        core::arch::asm!(
            "ldmxcsr [{value}]",
            "mov dword ptr [{words} + 4], 1",
            "2: pause; cmp dword ptr [{words}], 0; je 2b",
            "stmxcsr [{after}]; ldmxcsr [{plain}]",
            value = in(reg) &raw const value,
            after = in(reg) &raw mut after,
            plain = in(reg) &raw const plain,
            words = in(reg) words,
        );
    }
    after
}

pub fn run(gate: &mut Gate) -> Verdict {
    // The plain value; everything but unmasked exceptions; only sticky bits; exceptions unmasked with rounding down.
    let values = [0x1f80, 0xffff, 0x1fbf, 0x2000, 0x9fc0];
    let bodies =
        values.map(|value| -> Box<dyn FnOnce(&'static Spin) -> u32 + Send> { Box::new(move |w| spin_mxcsr(w, value)) });
    check_eq("MXCSR of each thread", spin_all(gate, bodies.into())?, values.to_vec())
}
