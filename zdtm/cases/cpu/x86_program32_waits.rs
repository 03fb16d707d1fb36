//! A 32-bit program in epoll_wait(2), a call that a tracer's stop ends: it waits on after a dump that was refused.
//@ dump-fails: "32-bit code"
//@ needs: [kernel:ia32]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{await_that, wait_status};
use crate::tools_x86::{code, start32};
use std::io::{Write as _, pipe};

unsafe extern "C" {
    /// The first byte of the program's code, and the first after it.
    static zdtm_waits32: u8;
    static zdtm_waits32_end: u8;
}

// Waits until its standard input can be read; ends with 42, or with 7 where a call failed or ended early.
core::arch::global_asm!(
    ".pushsection .rodata",
    ".global zdtm_waits32, zdtm_waits32_end",
    "zdtm_waits32:",
    ".code32",
    "mov eax, 329; xor ebx, ebx; int 0x80", // epoll_create1
    "test eax, eax; js 2f",
    "mov ebp, eax",
    "push 0; push 0; push 1", // struct epoll_event: EPOLLIN, no data
    "mov eax, 255; mov ebx, ebp; mov ecx, 1; xor edx, edx; mov esi, esp; int 0x80", // epoll_ctl
    "test eax, eax; jnz 2f",
    "mov eax, 256; mov ebx, ebp; mov ecx, esp; mov edx, 1; mov esi, -1; int 0x80", // epoll_wait
    "cmp eax, 1; jne 2f",
    "mov eax, 1; mov ebx, 42; int 0x80",
    "2: mov eax, 1; mov ebx, 7; int 0x80",
    ".code64",
    "zdtm_waits32_end:",
    ".popsection",
);

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the code lies between the two symbols.
    let code = unsafe { code(&raw const zdtm_waits32, &raw const zdtm_waits32_end) };
    let (input, mut question) = pipe()?;
    let program = start32(gate, code, &[(&input, 0)])?;
    drop(input);
    let call = format!("/proc/{program}/syscall");
    await_that("the program's wait", || Ok(std::fs::read_to_string(&call)?.starts_with("256 ")))?;
    gate.checkpoint()?;
    await_that("the program's wait goes on", || Ok(std::fs::read_to_string(&call)?.starts_with("256 ")))?;
    question.write_all(b"a")?;
    check_eq("the program's end", wait_status(program.as_raw(), 0), (i64::from(program.as_raw()), 42 << 8))
}
