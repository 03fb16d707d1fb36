//! The local descriptor table keeps its entries, and a segment register that refers to one still reaches its memory: as
//! Windows emulators use it.
//@ dump-fails: "local descriptor table"
//@ unseen: it is asked of the process itself
//@ needs: [kernel:ldt]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_spin::spin;
use crate::tools_tasks::outcome;
use crate::tools_x86::low_page;

/// The kernel's `struct user_desc`: entry, base, limit, and flags (32 bit, contents, read-only, in pages, not present, usable).
type Entry = [u32; 4];

/// `modify_ldt(READ)`: the table's bytes.
fn table() -> Vec<u8> {
    let mut data = vec![0u8; 65536];
    // SAFETY: the kernel writes at most the length given.
    let got = outcome(unsafe { libc::syscall(libc::SYS_modify_ldt, 0, data.as_mut_ptr(), data.len()) });
    // The kernel fills the whole length with the entries and zeros.
    if got.0 == 65536 { data } else { Vec::new() }
}

pub fn run(gate: &mut Gate) -> Verdict {
    let memory = low_page()?;
    memory[0] = 0x1dea_5eed;
    // A byte-granular data segment of 100 bytes over the memory, at entry 5; a not present one at entry 300.
    let entries: [Entry; 2] = [[5, memory.as_ptr() as u32, 99, 0x41], [300, 0x1234_5678, 0xfffff, 0x79]];
    for entry in &entries {
        // SAFETY: the kernel reads a 16-byte description.
        let done = unsafe { libc::syscall(libc::SYS_modify_ldt, 0x11, entry.as_ptr(), 16usize) };
        check_eq("modify_ldt", outcome(done).1, 0)?;
    }
    let before = table();
    check(
        "the entries in the table",
        before.len() == 65536 && before[5 * 8..6 * 8] != [0; 8] && before[300 * 8..301 * 8] != [0; 8],
    )?;
    let (selector, value) = spin(gate, |words| {
        let (selector, value): (u32, u32);
        // SAFETY: gs is used by nothing else in this program; entry 5 is valid and covers the word read.
        unsafe {
            core::arch::asm!(
                "mov gs, {s:x}",
                "mov dword ptr [{words} + 4], 1",
                "2: pause; cmp dword ptr [{words}], 0; je 2b",
                "mov {value:e}, gs:[0]",
                "mov {selector:e}, gs",
                "xor {s:e}, {s:e}; mov gs, {s:x}",
                s = inout(reg) 5 << 3 | 7 => _,
                selector = out(reg) selector,
                value = out(reg) value,
                words = in(reg) words,
            );
        }
        (selector, value)
    })?;
    check_eq("the selector in gs", selector, 5 << 3 | 7)?;
    check_eq("the word at gs:0", value, 0x1dea_5eed)?;
    check("the descriptor table is as it was", table() == before)
}
