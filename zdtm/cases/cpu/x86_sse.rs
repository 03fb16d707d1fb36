//! The sixteen SSE registers keep their 128 bits, different ones in each of eight threads.
use crate::gate::{Gate, Verdict, check};
use crate::tools_spin::{Spin, pattern, spin_all};

const SIZE: usize = 16 * 16;

/// Loads the registers from `data`, spins, and returns them.
fn spin_vectors(words: &'static Spin, data: &[u8]) -> Vec<u8> {
    let mut after = vec![0; SIZE];
    // SAFETY: the buffers hold SIZE bytes; the loop reads and writes the two words only.
    unsafe {
        core::arch::asm!(
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "movdqu xmm\\n, [{data} + 16 * \\n]",
            ".endr",
            "mov dword ptr [{words} + 4], 1",
            "2: pause; cmp dword ptr [{words}], 0; je 2b",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "movdqu [{after} + 16 * \\n], xmm\\n",
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
}

pub fn run(gate: &mut Gate) -> Verdict {
    let data: Vec<Vec<u8>> = (0..8).map(|seed| pattern(seed, SIZE)).collect();
    let bodies = data.iter().cloned().map(|data| -> Box<dyn FnOnce(&'static Spin) -> Vec<u8> + Send> {
        Box::new(move |words| spin_vectors(words, &data))
    });
    for (seed, (after, before)) in spin_all(gate, bodies.collect())?.iter().zip(&data).enumerate() {
        for n in 0..16 {
            let part = n * 16..(n + 1) * 16;
            check(&format!("register xmm{n} of thread {seed} as it was"), after[part.clone()] == before[part])?;
        }
    }
    Ok(())
}
