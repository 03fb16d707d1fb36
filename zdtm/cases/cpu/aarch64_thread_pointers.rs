//! The two registers for thread pointers that a program may write keep their values, in each thread its own.
//@ needs: [sme]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::{Spin, spin_all};

/// Puts values into both, spins, and returns what they hold.
fn spin_pointers(words: &'static Spin, first: u64, second: u64) -> (u64, u64) {
    let (mut first, mut second) = (first, second);
    // SAFETY: the C library's pointer is put back before anything uses it; the loop reads and writes the two words only.
    unsafe {
        core::arch::asm!(
            "mrs {own}, tpidr_el0; msr tpidr_el0, {first}; msr S3_3_C13_C0_5, {second}",
            "mov {t:w}, #1; str {t:w}, [{words}, #4]",
            "2: yield; ldr {t:w}, [{words}]; cbz {t:w}, 2b",
            "mrs {first}, tpidr_el0; mrs {second}, S3_3_C13_C0_5; msr tpidr_el0, {own}; msr S3_3_C13_C0_5, xzr",
            own = out(reg) _,
            t = out(reg) _,
            words = in(reg) words,
            first = inout(reg) first,
            second = inout(reg) second,
        );
    }
    (first, second)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let values = [(1, 2), (0x1234_5678_9abc_def0, u64::MAX), (u64::MAX, 0)];
    let bodies = values.map(|(first, second)| -> Box<dyn FnOnce(&'static Spin) -> (u64, u64) + Send> {
        Box::new(move |words| spin_pointers(words, first, second))
    });
    check_eq("the pointers of each thread", spin_all(gate, bodies.into())?, values.to_vec())
}
