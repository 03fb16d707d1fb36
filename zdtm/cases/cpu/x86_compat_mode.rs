//! A 64-bit program caught while it runs 32-bit code, as Windows emulators do: it goes on in that mode and comes back,
//! with its registers.
//@ dump-fails: "32-bit code"
//@ unseen: the code segment is in the registers
//@ needs: [kernel:ia32]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::Spin;
use crate::tools_spin::spin;
use crate::tools_x86::{code, low_page};
use std::sync::atomic::AtomicU64;

static STACK: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    /// The first byte of the 32-bit code, and the first after it.
    static zdtm_compat_code: u8;
    static zdtm_compat_end: u8;
}

core::arch::global_asm!(
    ".pushsection .rodata",
    ".global zdtm_compat_code, zdtm_compat_end",
    "zdtm_compat_code:",
    ".code32",
    "mov dword ptr [ebx + 4], 1",
    "2: pause",
    "cmp dword ptr [ebx], 0",
    "je 2b",
    // Far, to the 64-bit code whose address and selector lie in the page.
    "ljmp [ebx + 8]",
    ".code64",
    "zdtm_compat_end:",
    ".popsection",
);

/// Runs the 32-bit code at `code` with `page` in ebx and patterns in the other registers; returns whether all of
/// (ecx, edx, esi, edi, ebp) hold the patterns afterwards.
///
/// # Safety
/// `code` is a copy of the 32-bit code below 4 GiB; `page + 8` holds the far address of code that jumps to `r12`.
#[unsafe(naked)]
unsafe extern "C" fn run_compat(code: u64, page: u64) -> u64 {
    core::arch::naked_asm!(
        "push rbx; push rbp; push r12",
        "mov [rip + {stack}], rsp",
        "mov rbx, rsi; mov rax, rdi",
        "lea r12, [rip + 3f]; mov [rbx + 24], r12",
        // 32-bit code reaches its data through ds, which is empty in 64-bit programs.
        "mov ecx, 0x2b; mov ds, cx",
        "mov ecx, 0xc0c0c001; mov edx, 0xd0d0d002; mov esi, 0x51515103; mov edi, 0xd1d1d104; mov ebp, 0xb9b9b905",
        "push 0x23; push rax; retfq",
        "3: mov rsp, [rip + {stack}]",
        "xor eax, eax; mov ds, ax",
        "cmp ecx, 0xc0c0c001; jne 4f; cmp edx, 0xd0d0d002; jne 4f; cmp esi, 0x51515103; jne 4f",
        "cmp edi, 0xd1d1d104; jne 4f; cmp ebp, 0xb9b9b905; jne 4f",
        "mov eax, 1",
        "4: pop r12; pop rbp; pop rbx",
        "ret",
        stack = sym STACK,
    )
}

pub fn run(gate: &mut Gate) -> Verdict {
    let page = low_page()?.as_mut_ptr().cast::<u8>();
    // SAFETY: the code lies between the two symbols; the page is fresh and has room for it at 1024, and at 512 for the
    // way back: `jmp [rbx + 24]`, whose far address (offset, 64-bit code selector) is at 8.
    let (code, words) = unsafe {
        let code = code(&raw const zdtm_compat_code, &raw const zdtm_compat_end);
        std::ptr::copy_nonoverlapping(code.as_ptr(), page.add(1024), code.len());
        let back = page.add(512);
        std::ptr::copy_nonoverlapping([0xff_u8, 0x63, 24].as_ptr(), back, 3);
        page.add(8).cast::<u32>().write(back as u32);
        page.add(12).cast::<u16>().write(0x33);
        (page as u64 + 1024, &*page.cast::<Spin>())
    };
    let same = spin(gate, move |outer| {
        let relay = std::thread::spawn(move || {
            while words.running.get() == 0 {
                std::thread::yield_now();
            }
            outer.running.set(1);
            outer.stop.wait_for(1);
            words.stop.set(1);
        });
        // SAFETY: the code and the page were laid out as the function wants them.
        let same = unsafe { run_compat(code, words.stop.as_ptr() as u64) };
        relay.join().map_or(0, |()| same)
    })?;
    check_eq("registers of the 32-bit code as they were", same, 1)
}
