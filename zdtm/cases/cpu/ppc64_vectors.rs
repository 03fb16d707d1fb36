//! The 64 vector-scalar registers keep their 128 bits (the first half are the floating-point registers, the other half
//! the vector registers), different ones in each of eight threads.
use crate::gate::{Gate, Verdict, check};
use crate::tools_spin::{Spin, pattern, spin_all};

const SIZE: usize = 64 * 16;

/// Loads the registers from `data`, spins, and stores them into `after`.
///
/// # Safety
/// Both hold SIZE bytes.
#[unsafe(naked)]
unsafe extern "C" fn spin_vectors(data: *const u8, after: *mut u8, words: *const Spin) {
    core::arch::naked_asm!(
        // The registers that belong to the caller go below the stack pointer: f14 to f31, v20 to v31, as vs14 to 31 and
        // 52 to 63, within the 512 bytes that no signal handler uses, and more that no handler is there for.
        "addi 1, 1, -1024",
        "li 0, 0",
        ".set i, 0",
        ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,52,53,54,55,56,57,58,59,60,61,62,63",
        "li 7, 64 + 16 * i; stxvd2x \\n, 1, 7",
        ".set i, i + 1",
        ".endr",
        ".set i, 0",
        ".rept 64",
        "li 7, 16 * i; lxvd2x i, 3, 7",
        ".set i, i + 1",
        ".endr",
        "li 0, 1; stw 0, 4(5)",
        "2: lwz 0, 0(5); cmpwi 0, 0, 0; beq 0, 2b",
        ".set i, 0",
        ".rept 64",
        "li 7, 16 * i; stxvd2x i, 4, 7",
        ".set i, i + 1",
        ".endr",
        ".set i, 0",
        ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,52,53,54,55,56,57,58,59,60,61,62,63",
        "li 7, 64 + 16 * i; lxvd2x \\n, 1, 7",
        ".set i, i + 1",
        ".endr",
        "addi 1, 1, 1024",
        "blr",
    )
}

pub fn run(gate: &mut Gate) -> Verdict {
    let data: Vec<Vec<u8>> = (0..8).map(|seed| pattern(seed, SIZE)).collect();
    let bodies = data.iter().cloned().map(|data| -> Box<dyn FnOnce(&'static Spin) -> Vec<u8> + Send> {
        Box::new(move |words| {
            let mut after = vec![0; SIZE];
            // SAFETY: both hold SIZE bytes.
            unsafe { spin_vectors(data.as_ptr(), after.as_mut_ptr(), words) };
            after
        })
    });
    for (seed, (after, before)) in spin_all(gate, bodies.collect())?.iter().zip(&data).enumerate() {
        for n in 0..64 {
            let part = n * 16..(n + 1) * 16;
            check(&format!("register vs{n} of thread {seed} as it was"), after[part.clone()] == before[part])?;
        }
    }
    Ok(())
}
