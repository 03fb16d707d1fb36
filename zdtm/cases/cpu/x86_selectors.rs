//! The selectors in the data segment registers, which are zero in most programs, keep their values.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::spin;

/// The flat data segment of user programs.
const USER_DATA: u16 = 0x2b;

pub fn run(gate: &mut Gate) -> Verdict {
    let got = spin(gate, |words| {
        let (ds, es, gs): (u32, u32, u32);
        // SAFETY: the flat segment changes no address; gs is used by nothing else in this program.
        unsafe {
            core::arch::asm!(
                "mov ds, {s:x}; mov es, {s:x}; mov gs, {s:x}",
                "mov dword ptr [{words} + 4], 1",
                "2: pause; cmp dword ptr [{words}], 0; je 2b",
                "mov {ds:e}, ds; mov {es:e}, es; mov {gs:e}, gs",
                "xor {s:e}, {s:e}; mov ds, {s:x}; mov es, {s:x}; mov gs, {s:x}",
                s = inout(reg) USER_DATA => _,
                ds = out(reg) ds,
                es = out(reg) es,
                gs = out(reg) gs,
                words = in(reg) words,
            );
        }
        [ds, es, gs]
    })?;
    check_eq("ds, es, gs", got, [u32::from(USER_DATA); 3])
}
