//! Segment bases that a program wrote with its own instructions, fs too, and which are no addresses of its memory.
//@ needs: [fsgsbase]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::spin;

pub fn run(gate: &mut Gate) -> Verdict {
    let wanted = [0x1234_5678_9abc_u64, 0x7edc_ba98_7654];
    let got = spin(gate, move |words| {
        let (fs, gs): (u64, u64);
        // SAFETY: nothing reaches for thread-local memory until fs is what it was; the loop uses the two words only.
        unsafe {
            core::arch::asm!(
                "rdfsbase {saved}",
                "wrfsbase {fs}; wrgsbase {gs}",
                "mov dword ptr [{words} + 4], 1",
                "2: pause; cmp dword ptr [{words}], 0; je 2b",
                "rdfsbase {fs}; rdgsbase {gs}",
                "wrfsbase {saved}",
                saved = out(reg) _,
                fs = inout(reg) wanted[0] => fs,
                gs = inout(reg) wanted[1] => gs,
                words = in(reg) words,
            );
        }
        [fs, gs]
    })?;
    check_eq("the bases of fs and gs", got, wanted)
}
