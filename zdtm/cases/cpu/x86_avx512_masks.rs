//! The eight mask registers of AVX-512 keep their 64 bits, while the vector registers are in their initial state.
//@ needs: [avx512bw]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::{pattern, spin};

pub fn run(gate: &mut Gate) -> Verdict {
    let before = pattern(9, 64);
    let data = before.clone();
    let after = spin(gate, move |words| {
        let mut after = vec![0u8; 64];
        // SAFETY: the buffers hold 64 bytes; no code that the compiler makes here uses mask registers.
        unsafe {
            core::arch::asm!(
                "vzeroall",
                ".irp n, 0,1,2,3,4,5,6,7",
                "kmovq k\\n, [{data} + 8 * \\n]",
                ".endr",
                "mov dword ptr [{words} + 4], 1",
                "2: pause; cmp dword ptr [{words}], 0; je 2b",
                ".irp n, 0,1,2,3,4,5,6,7",
                "kmovq [{after} + 8 * \\n], k\\n",
                ".endr",
                data = in(reg) data.as_ptr(),
                after = in(reg) after.as_mut_ptr(),
                words = in(reg) words,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            );
        }
        after
    })?;
    check_eq("the mask registers", after, before)
}
