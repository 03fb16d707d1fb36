//! The 128 bytes below the stack pointer, which compiled code uses without reserving them, keep their contents in a loop
//! and across a blocked system call.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::spin;

/// Fills the red zone with rsi + 0..15, spins on the words at rdi, and returns how many of the values are wrong.
///
/// # Safety
/// `words` points to the two words of a spinning thread.
#[unsafe(naked)]
unsafe extern "C" fn spin_zone(words: *const u32, first: u64) -> u64 {
    core::arch::naked_asm!(
        "mov rcx, -16; mov rax, rsi",
        "2: mov [rsp + 8 * rcx], rax; inc rax; inc rcx; jnz 2b",
        "mov dword ptr [rdi + 4], 1",
        "3: pause; cmp dword ptr [rdi], 0; je 3b",
        "xor eax, eax; mov rcx, -16",
        "4: cmp [rsp + 8 * rcx], rsi; je 5f; inc rax",
        "5: inc rsi; inc rcx; jnz 4b",
        "ret",
    )
}

pub fn run(gate: &mut Gate) -> Verdict {
    let wrong = spin(gate, |words| {
        // SAFETY: the words live for ever.
        unsafe { spin_zone(words.stop.as_ptr(), 0xfeed_face_cafe_0000) }
    })?;
    check_eq("the wrong values in the red zone", wrong, 0)
}
