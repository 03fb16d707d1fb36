//! Each thread keeps its descriptors in the global table (set_thread_area of the 32-bit interface, which 64-bit programs
//! can call), and a segment register that refers to one still reaches its memory.
//@ needs: [kernel:ia32]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_threads::{Setup, each_thread};
use crate::tools_x86::low_page;

const SET_THREAD_AREA: u32 = 243;
const GET_THREAD_AREA: u32 = 244;
const ENTRY: u32 = 13;

/// A call of the 32-bit interface with the page as its argument.
fn call(nr: u32, page: &mut [u32; 1024]) -> i32 {
    let result: i32;
    let address = page.as_mut_ptr() as u64;
    // SAFETY: the page is below 4 GiB and holds a `user_desc`; rbx is put back.
    unsafe {
        core::arch::asm!(
            "xchg rbx, {address}; int 0x80; xchg rbx, {address}",
            address = inout(reg) address => _,
            inout("eax") nr => result,
        );
    }
    result
}

/// The descriptor of the entry, the selector in gs, and the word that it reaches.
fn observe() -> Verdict<([u32; 4], u32, u32)> {
    let page = low_page()?;
    page[0] = ENTRY;
    check_eq("get_thread_area", call(GET_THREAD_AREA, page), 0)?;
    let (selector, mut value): (u32, u32);
    value = 0;
    // SAFETY: gs refers to the entry where it is not zero, and that to memory that is never freed.
    unsafe {
        core::arch::asm!("mov {:e}, gs", out(reg) selector);
        if selector != 0 {
            core::arch::asm!("mov {:e}, gs:[64]", out(reg) value);
        }
    }
    Ok(([page[0], page[1], page[2], page[3]], selector, value))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |value: u32, limit: u32| -> Setup {
        Box::new(move || {
            let page = low_page()?;
            let base = page.as_ptr() as u32;
            // 32 bit, usable, byte granular.
            (page[0], page[1], page[2], page[3], page[16]) = (ENTRY, base, limit, 0x41, value);
            check_eq("set_thread_area", call(SET_THREAD_AREA, page), 0)?;
            // SAFETY: gs is used by nothing else in this program.
            unsafe { core::arch::asm!("mov gs, {:x}", in(reg) ENTRY << 3 | 3) };
            check_eq("the word at gs:64", observe()?.2, value)
        })
    };
    each_thread(gate, vec![setup(0x600d_f00d, 4095), setup(0x5ca1_ab1e, 200)], observe)
}
