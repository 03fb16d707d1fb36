//! The 32 vector registers keep their 128 bits, different ones in each of eight threads, and the floating-point control
//! and status registers their values.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_spin::{Spin, pattern, spin_all};

const SIZE: usize = 32 * 16;
/// Rounding towards zero, flush to zero; inexact and overflow have happened.
const CONTROL: u64 = 0x01c0_0000;
const STATUS: u64 = 0x0000_0014;

/// Loads the registers from `data`, spins, and returns them with control and status.
fn spin_vectors(words: &'static Spin, data: &[u8]) -> (Vec<u8>, u64, u64) {
    let mut after = vec![0; SIZE];
    let (control, status): (u64, u64);
    // SAFETY: the buffers hold SIZE bytes; the loop reads and writes the two words only; the control register is put
    // back as compiled code expects it.
    unsafe {
        core::arch::asm!(
            "ld1 {{v0.16b-v3.16b}}, [{data}], #64; ld1 {{v4.16b-v7.16b}}, [{data}], #64",
            "ld1 {{v8.16b-v11.16b}}, [{data}], #64; ld1 {{v12.16b-v15.16b}}, [{data}], #64",
            "ld1 {{v16.16b-v19.16b}}, [{data}], #64; ld1 {{v20.16b-v23.16b}}, [{data}], #64",
            "ld1 {{v24.16b-v27.16b}}, [{data}], #64; ld1 {{v28.16b-v31.16b}}, [{data}], #64",
            "msr fpcr, {control}; msr fpsr, {status}",
            "mov {t:w}, #1; str {t:w}, [{words}, #4]",
            "2: yield; ldr {t:w}, [{words}]; cbz {t:w}, 2b",
            "mrs {control}, fpcr; mrs {status}, fpsr; msr fpcr, xzr",
            "st1 {{v0.16b-v3.16b}}, [{after}], #64; st1 {{v4.16b-v7.16b}}, [{after}], #64",
            "st1 {{v8.16b-v11.16b}}, [{after}], #64; st1 {{v12.16b-v15.16b}}, [{after}], #64",
            "st1 {{v16.16b-v19.16b}}, [{after}], #64; st1 {{v20.16b-v23.16b}}, [{after}], #64",
            "st1 {{v24.16b-v27.16b}}, [{after}], #64; st1 {{v28.16b-v31.16b}}, [{after}], #64",
            data = inout(reg) data.as_ptr() => _,
            after = inout(reg) after.as_mut_ptr() => _,
            words = in(reg) words,
            t = out(reg) _,
            control = inout(reg) CONTROL => control,
            status = inout(reg) STATUS => status,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _,
            out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
            out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _,
            out("v29") _, out("v30") _, out("v31") _,
        );
    }
    (after, control, status)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let data: Vec<Vec<u8>> = (0..8).map(|seed| pattern(seed, SIZE)).collect();
    let bodies = data.iter().cloned().map(|data| -> Box<dyn FnOnce(&'static Spin) -> (Vec<u8>, u64, u64) + Send> {
        Box::new(move |words| spin_vectors(words, &data))
    });
    for (seed, ((after, control, status), before)) in spin_all(gate, bodies.collect())?.iter().zip(&data).enumerate() {
        for n in 0..32 {
            let part = n * 16..(n + 1) * 16;
            check(&format!("register v{n} of thread {seed} as it was"), after[part.clone()] == before[part])?;
        }
        check_eq("control and status", (*control, *status), (CONTROL, STATUS))?;
    }
    Ok(())
}
