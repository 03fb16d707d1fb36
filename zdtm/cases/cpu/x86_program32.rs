//! A 32-bit program, blocked in a read: it is 32-bit code in a 32-bit address space afterwards too, with its registers,
//! and its calls are those of the 32-bit interface.
//@ dump-fails: "32-bit code"
//@ needs: [kernel:ia32]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{await_that, wait_status};
use crate::tools_x86::{code, start32};
use std::io::{Read as _, Write as _, pipe};

unsafe extern "C" {
    /// The first byte of the program's code, and the first after it.
    static zdtm_program32: u8;
    static zdtm_program32_end: u8;
}

// Reads a byte, adds one to it, writes it; ends with 42, or with 7 where a call or a register was not as it should be.
core::arch::global_asm!(
    ".pushsection .rodata",
    ".global zdtm_program32, zdtm_program32_end",
    "zdtm_program32:",
    ".code32",
    "mov esi, 0x51515101; mov edi, 0xd1d1d102; mov ebp, 0xb9b9b903",
    "push 0",
    "mov eax, 3; xor ebx, ebx; mov ecx, esp; mov edx, 1; int 0x80",
    "cmp eax, 1; jne 2f; cmp ecx, esp; jne 2f; cmp edx, 1; jne 2f",
    "cmp esi, 0x51515101; jne 2f; cmp edi, 0xd1d1d102; jne 2f; cmp ebp, 0xb9b9b903; jne 2f",
    "mov ax, cs; cmp ax, 0x23; jne 2f",
    "inc dword ptr [esp]",
    "mov eax, 4; mov ebx, 1; int 0x80",
    "cmp eax, 1; jne 2f",
    "mov eax, 1; mov ebx, 42; int 0x80",
    "2: mov eax, 1; mov ebx, 7; int 0x80",
    ".code64",
    "zdtm_program32_end:",
    ".popsection",
);

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the code lies between the two symbols.
    let code = unsafe { code(&raw const zdtm_program32, &raw const zdtm_program32_end) };
    let (input, mut question) = pipe()?;
    let (mut answer, output) = pipe()?;
    let program = start32(gate, code, &[(&input, 0), (&output, 1)])?;
    drop((input, output));
    let call = format!("/proc/{program}/syscall");
    await_that("the program's read", || Ok(std::fs::read_to_string(&call)?.starts_with("3 0x0 ")))?;
    gate.checkpoint()?;
    await_that("the program's read goes on", || Ok(std::fs::read_to_string(&call)?.starts_with("3 0x0 ")))?;
    question.write_all(b"a")?;
    check_eq("the program's end", wait_status(program.as_raw(), 0), (i64::from(program.as_raw()), 42 << 8))?;
    let mut text = String::new();
    answer.read_to_string(&mut text)?;
    check_eq("the answer", text.as_str(), "b")
}
