//! The scalable vector and predicate registers keep every bit in a loop without system calls; any system call would
//! destroy what is above 128 bits.
//@ needs: [sve]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_spin::{Spin, pattern, spin_all};

/// linux/prctl.h: sets the vector length, and says which it is in the lower bits.
const PR_SVE_SET_VL: i32 = 50;
const LENGTH: u64 = 0xffff;
/// The longest vector is 256 bytes, of which a predicate has an eighth.
const VECTORS: usize = 32 * 256;
const PREDICATES: usize = 16 * 32;

/// Loads the registers from `data`, spins, and returns them with the vector length in bytes.
#[target_feature(enable = "sve")]
fn spin_vectors(words: &'static Spin, data: &[u8]) -> (Vec<u8>, u64) {
    let mut after = vec![0; VECTORS + PREDICATES];
    let length: u64;
    // SAFETY: the buffers hold room for the longest vectors; the loop reads and writes the two words only.
    unsafe {
        core::arch::asm!(
            ".arch_extension sve",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "ldr z\\n, [{data}, #\\n, mul vl]",
            ".endr",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "ldr p\\n, [{more}, #\\n, mul vl]",
            ".endr",
            "mov {t:w}, #1; str {t:w}, [{words}, #4]",
            "2: yield; ldr {t:w}, [{words}]; cbz {t:w}, 2b",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "str z\\n, [{after}, #\\n, mul vl]",
            ".endr",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "str p\\n, [{after_more}, #\\n, mul vl]",
            ".endr",
            "rdvl {length}, #1",
            data = in(reg) data.as_ptr(),
            more = in(reg) data[VECTORS..].as_ptr(),
            after = in(reg) after.as_mut_ptr(),
            after_more = in(reg) after[VECTORS..].as_mut_ptr(),
            words = in(reg) words,
            t = out(reg) _,
            length = out(reg) length,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _,
            out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
            out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _,
            out("v29") _, out("v30") _, out("v31") _,
            out("p0") _, out("p1") _, out("p2") _, out("p3") _, out("p4") _, out("p5") _, out("p6") _, out("p7") _,
            out("p8") _, out("p9") _, out("p10") _, out("p11") _, out("p12") _, out("p13") _, out("p14") _,
            out("p15") _,
        );
    }
    (after, length)
}

pub fn run(gate: &mut Gate) -> Verdict {
    // Vectors of 16, 32 and 64 bytes: PR_SVE_SET_VL takes the next shorter one that the CPU has.
    let lengths = [16u64, 32, 64];
    let data: Vec<Vec<u8>> = (0..3).map(|seed| pattern(seed + 40, VECTORS + PREDICATES)).collect();
    let bodies = data.iter().cloned().zip(lengths).map(
        |(data, length)| -> Box<dyn FnOnce(&'static Spin) -> (Vec<u8>, u64, i32) + Send> {
            Box::new(move |words| {
                // SAFETY: plain integers; no vector is in use here.
                let set = unsafe { libc::prctl(PR_SVE_SET_VL, length, 0, 0, 0) };
                // SAFETY: the case needs SVE.
                let (after, length) = unsafe { spin_vectors(words, &data) };
                (after, length, set)
            })
        },
    );
    for ((after, length, set), before) in spin_all(gate, bodies.collect())?.iter().zip(&data) {
        check_eq("the vector length", *length, *set as u64 & LENGTH)?;
        let (vectors, predicates) = (*length as usize * 32, *length as usize * 2);
        check("the vectors are as they were", after[..vectors] == before[..vectors])?;
        let part = VECTORS..VECTORS + predicates;
        check("the predicates are as they were", after[part.clone()] == before[part])?;
    }
    Ok(())
}
