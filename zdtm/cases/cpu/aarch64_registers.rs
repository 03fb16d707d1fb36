//! Every general register keeps its 64 bits in a loop without system calls, and the condition flags too; the stack
//! pointer points nowhere meanwhile: nothing may use the stack of a frozen task.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::{Spin, pattern, spin};

/// Loads x0 to x30 but x18's neighbours' own words from `values` (x0 to x30, sp, flags), spins, stores them back. The
/// words are reached by an address in x29, which is a value of the test as well.
///
/// # Safety
/// No signal may reach the thread meanwhile, as there is no stack for a handler.
#[unsafe(naked)]
unsafe extern "C" fn spin_registers(values: *mut [u64; 33], words: *const Spin) {
    core::arch::naked_asm!(
        "stp x19, x20, [sp, #-112]!; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]; stp x25, x26, [sp, #48]",
        "stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]; str x0, [sp, #96]",
        // The stack pointer goes where the test finds it: into the thread's word.
        "mov x9, sp; msr tpidr_el0, x9",
        "str x1, [x0, #232]",
        "ldr x9, [x0, #256]; msr nzcv, x9",
        "ldr x9, [x0, #248]; mov sp, x9",
        "ldp x2, x3, [x0, #16]; ldp x4, x5, [x0, #32]; ldp x6, x7, [x0, #48]; ldp x8, x9, [x0, #64]",
        "ldp x10, x11, [x0, #80]; ldp x12, x13, [x0, #96]; ldp x14, x15, [x0, #112]; ldp x16, x17, [x0, #128]",
        "ldp x18, x19, [x0, #144]; ldp x20, x21, [x0, #160]; ldp x22, x23, [x0, #176]; ldp x24, x25, [x0, #192]",
        "ldp x26, x27, [x0, #208]; ldp x28, x29, [x0, #224]; ldr x1, [x0, #8]; ldr x0, [x0]",
        "mov w30, #1; str w30, [x29, #4]",
        "2: yield; ldr w30, [x29]; cbz w30, 2b",
        "mrs x30, tpidr_el0; ldr x30, [x30, #96]",
        "stp x0, x1, [x30]; stp x2, x3, [x30, #16]; stp x4, x5, [x30, #32]; stp x6, x7, [x30, #48]",
        "stp x8, x9, [x30, #64]; stp x10, x11, [x30, #80]; stp x12, x13, [x30, #96]; stp x14, x15, [x30, #112]",
        "stp x16, x17, [x30, #128]; stp x18, x19, [x30, #144]; stp x20, x21, [x30, #160]; stp x22, x23, [x30, #176]",
        "stp x24, x25, [x30, #192]; stp x26, x27, [x30, #208]; stp x28, x29, [x30, #224]",
        "mov x9, sp; str x9, [x30, #248]; mrs x9, nzcv; str x9, [x30, #256]",
        "mrs x9, tpidr_el0; mov sp, x9",
        "ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]; ldp x25, x26, [sp, #48]",
        "ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]; ldp x19, x20, [sp], #112",
        "ret",
    )
}

/// Runs the loop with the thread pointer of the C library put back behind it.
fn spin_with(values: &mut [u64; 33], words: &'static Spin) {
    let own: u64;
    // SAFETY: reads the thread pointer; no signal is sent to this thread, and nothing uses the pointer until it is back.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) own);
        spin_registers(values, words);
        core::arch::asm!("msr tpidr_el0, {}", in(reg) own);
    }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut wanted = [0u64; 33];
    for (value, bytes) in wanted.iter_mut().zip(pattern(1, 33 * 8).chunks_exact(8)) {
        *value = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    // The stack pointer may hold anything as long as nobody uses it; of the flags there are four.
    wanted[32] = 0x9000_0000;
    let start = wanted;
    let (got, at) = spin(gate, move |words| {
        let mut values = start;
        spin_with(&mut values, words);
        (values, std::ptr::from_ref(words) as u64)
    })?;
    // x29 led to the words, and x30 was the loop's.
    wanted[29] = at;
    wanted[30] = got[30];
    check_eq("the registers (x0 to x30, sp, flags)", got, wanted)
}
