//! The 32 vector registers keep their 128 bits, different ones in each of eight threads, and the floating-point control
//! register its value.
//@ needs: [vx]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_spin::{Spin, pattern, spin_all};

const SIZE: usize = 32 * 16;
/// Rounding towards zero; inexact and overflow have happened.
const CONTROL: u32 = 0x0028_0001;

/// Loads the registers from `data`, spins, and returns them with the control register.
fn spin_vectors(words: &'static Spin, data: &[u8]) -> (Vec<u8>, u32) {
    let mut after = vec![0; SIZE];
    let control: u32;
    // SAFETY: the buffers hold SIZE bytes; the loop reads and writes the two words only; the control register is put
    // back as compiled code expects it. The vectors' instructions are written as bytes: the compiler's target lacks them.
    unsafe {
        core::arch::asm!(
            // vl %v(n), 16n(%r2), then vl %v(16+n), 16n(%r3)
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            ".byte 0xe7, \\n * 16, 0x20, \\n * 16, 0x00, 0x06",
            ".byte 0xe7, \\n * 16, 0x30, \\n * 16, 0x08, 0x06",
            ".endr",
            "sfpc {t}",
            "lhi {t}, 1; st {t}, 4({words})",
            "2: lt {t}, 0({words}); jz 2b",
            "efpc {t}; lhi %r0, 0; sfpc %r0",
            // vst %v(n), 16n(%r4), then vst %v(16+n), 16n(%r5)
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            ".byte 0xe7, \\n * 16, 0x40, \\n * 16, 0x00, 0x0e",
            ".byte 0xe7, \\n * 16, 0x50, \\n * 16, 0x08, 0x0e",
            ".endr",
            in("r2") data.as_ptr(),
            in("r3") data[SIZE / 2..].as_ptr(),
            in("r4") after.as_mut_ptr(),
            in("r5") after[SIZE / 2..].as_mut_ptr(),
            words = in(reg_addr) words,
            t = inout(reg_addr) CONTROL => control,
            out("r0") _,
            out("f0") _, out("f1") _, out("f2") _, out("f3") _, out("f4") _, out("f5") _, out("f6") _, out("f7") _,
            out("f8") _, out("f9") _, out("f10") _, out("f11") _, out("f12") _, out("f13") _, out("f14") _,
            out("f15") _,
        );
    }
    (after, control)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let data: Vec<Vec<u8>> = (0..8).map(|seed| pattern(seed, SIZE)).collect();
    let bodies = data.iter().cloned().map(|data| -> Box<dyn FnOnce(&'static Spin) -> (Vec<u8>, u32) + Send> {
        Box::new(move |words| spin_vectors(words, &data))
    });
    for (seed, ((after, control), before)) in spin_all(gate, bodies.collect())?.iter().zip(&data).enumerate() {
        for n in 0..32 {
            let part = n * 16..(n + 1) * 16;
            check(&format!("register v{n} of thread {seed} as it was"), after[part.clone()] == before[part])?;
        }
        check_eq("the control register", *control, CONTROL)?;
    }
    Ok(())
}
