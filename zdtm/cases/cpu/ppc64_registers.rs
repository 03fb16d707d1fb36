//! The general registers keep their 64 bits in a loop without system calls, and so do the link, count, exception and
//! condition registers; the stack pointer points nowhere meanwhile: nothing may use the stack of a frozen task.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::{Spin, pattern, spin};

/// Loads r1, r2 and r5 to r31 but r13 from `values`, and the special registers behind them; spins, and stores all back.
/// r0 is the loop's, r3 leads to the values, r4 to the words.
///
/// # Safety
/// No signal may reach the thread meanwhile, as there is no stack for a handler.
#[unsafe(naked)]
unsafe extern "C" fn spin_registers(values: *mut [u64; 40], words: *const Spin) {
    core::arch::naked_asm!(
        "mflr 0; std 0, 16(1); mfcr 0; std 0, 8(1); std 1, 288(3); std 2, 296(3)",
        ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "std \\n, 8 * (\\n - 32)(1)",
        ".endr",
        "ld 0, 256(3); mtlr 0; ld 0, 264(3); mtctr 0; ld 0, 272(3); mtxer 0; ld 0, 280(3); mtcr 0",
        ".irp n, 1,2,5,6,7,8,9,10,11,12,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "ld \\n, 8 * \\n(3)",
        ".endr",
        "li 0, 1; stw 0, 4(4)",
        // The condition register is read before each look at the word, which changes a field of it that is not tested.
        "2: lwz 0, 0(4); cmpwi 0, 0, 0; beq 0, 2b",
        ".irp n, 1,2,5,6,7,8,9,10,11,12,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "std \\n, 8 * \\n(3)",
        ".endr",
        "mflr 0; std 0, 256(3); mfctr 0; std 0, 264(3); mfxer 0; std 0, 272(3); mfcr 0; std 0, 280(3)",
        "ld 1, 288(3); ld 2, 296(3); ld 0, 8(1); mtcr 0; ld 0, 16(1); mtlr 0",
        ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "ld \\n, 8 * (\\n - 32)(1)",
        ".endr",
        "blr",
    )
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut wanted = [0u64; 40];
    for (value, bytes) in wanted.iter_mut().zip(pattern(1, 36 * 8).chunks_exact(8)) {
        *value = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    // Of the exception register only the flags (with their copies for 32 bits) and a length can be set.
    wanted[34] = 0xc000_0011;
    wanted[35] &= 0x0fff_ffff;
    let start = wanted;
    let got = spin(gate, move |words| {
        let mut values = start;
        // SAFETY: no signal is sent to this thread.
        unsafe { spin_registers(&mut values, words) };
        values
    })?;
    check_eq("the registers r5 to r31", &got[5..32], &wanted[5..32])?;
    check_eq("r1 and r2", &got[1..3], &wanted[1..3])?;
    check_eq("link and count", &got[32..34], &wanted[32..34])?;
    check_eq("flags and length", got[34] & 0xe000_007f, wanted[34])?;
    check_eq("the condition register but field 0", got[35] & 0x0fff_ffff, wanted[35])
}
