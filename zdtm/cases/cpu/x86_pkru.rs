//! The rights register for protection keys keeps its value in each thread.
//@ needs: [ospke]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::{Spin, spin_all};

fn spin_rights(words: &'static Spin, rights: u32) -> u32 {
    let after: u32;
    // SAFETY: key 0, which all memory has, keeps all rights; the loop reads and writes the two words only.
    unsafe {
        core::arch::asm!(
            "xor ecx, ecx; xor edx, edx; wrpkru",
            "mov dword ptr [{words} + 4], 1",
            "2: pause; cmp dword ptr [{words}], 0; je 2b",
            "xor ecx, ecx; rdpkru",
            inout("eax") rights => after,
            words = in(reg) words,
            out("ecx") _,
            out("edx") _,
        );
    }
    after
}

pub fn run(gate: &mut Gate) -> Verdict {
    let values = [0x5555_5554, 0, 0xffff_fffc, 0x1234_5670];
    let bodies = values
        .map(|value| -> Box<dyn FnOnce(&'static Spin) -> u32 + Send> { Box::new(move |w| spin_rights(w, value)) });
    check_eq("the rights of each thread", spin_all(gate, bodies.into())?, values.to_vec())
}
