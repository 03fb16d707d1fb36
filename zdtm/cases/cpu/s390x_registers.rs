//! The general registers keep their 64 bits in a loop without system calls; the stack pointer points nowhere meanwhile:
//! nothing may use the stack of a frozen task. The condition code is kept as well.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::{Spin, pattern, spin};

/// Loads r2 to r13 and r15 from `values`, spins, and stores them back, and the condition code behind them. r0 is the
/// loop's, r1 leads to the words, r14 to the values.
///
/// # Safety
/// No signal may reach the thread meanwhile, as there is no stack for a handler.
#[unsafe(naked)]
unsafe extern "C" fn spin_registers(values: *mut [u64; 18], words: *const Spin) {
    core::arch::naked_asm!(
        "stmg %r6, %r15, 48(%r15)",
        "stg %r15, 128(%r2)",
        "lgr %r1, %r3",
        "lgr %r14, %r2",
        "lmg %r2, %r13, 16(%r14)",
        "lg %r15, 120(%r14)",
        "lhi %r0, 1",
        "st %r0, 4(%r1)",
        "lhi %r0, -1",
        // Comparing the word changes the code: a negative number says 1 and keeps it.
        "2: lt %r0, 0(%r1)",
        "jz 2b",
        "ipm %r0",
        "stg %r0, 136(%r14)",
        "stmg %r2, %r13, 16(%r14)",
        "stg %r15, 120(%r14)",
        "lg %r15, 128(%r14)",
        "lmg %r6, %r15, 48(%r15)",
        "br %r14",
    )
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut wanted = [0u64; 18];
    for (value, bytes) in wanted.iter_mut().zip(pattern(1, 16 * 8).chunks_exact(8)) {
        *value = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    let start = wanted;
    let got = spin(gate, move |words| {
        let mut values = start;
        // SAFETY: no signal is sent to this thread.
        unsafe { spin_registers(&mut values, words) };
        values
    })?;
    check_eq("the registers r2 to r13", &got[2..14], &wanted[2..14])?;
    check_eq("the stack pointer", got[15], wanted[15])
}
