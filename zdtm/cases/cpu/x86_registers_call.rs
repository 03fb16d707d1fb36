//! Every register keeps its value across a system call that was blocked at the dump, as the kernel's interface promises:
//! arguments, callee-saved and unused registers and the stack pointer; rcx and r11 hold the return address and flags.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_spin::pattern;
use crate::tools_tasks::Word;
use crate::tools_threads::{Call, futex};
use std::sync::atomic::AtomicU64;

static LOCK: Word = Word::new();
static STACK: AtomicU64 = AtomicU64::new(0);
static FINAL_STACK: AtomicU64 = AtomicU64::new(0);

/// Loads the registers from `values` (rax, rbx, rcx, rdx, rsi, rbp, r8 to r15, rsp, rdi), makes the system call, and
/// stores them back; returns the address that follows the call.
///
/// # Safety
/// No signal may reach the thread meanwhile, as there is no stack for a handler.
#[unsafe(naked)]
unsafe extern "C" fn call_with_registers(values: *mut [u64; 16]) -> u64 {
    core::arch::naked_asm!(
        "push rbx; push rbp; push r12; push r13; push r14; push r15; push rdi",
        "mov [rip + {stack}], rsp",
        "mov rax, [rdi]; mov rbx, [rdi + 8]; mov rcx, [rdi + 16]; mov rdx, [rdi + 24]; mov rsi, [rdi + 32]",
        "mov rbp, [rdi + 40]; mov r8, [rdi + 48]; mov r9, [rdi + 56]; mov r10, [rdi + 64]; mov r11, [rdi + 72]",
        "mov r12, [rdi + 80]; mov r13, [rdi + 88]; mov r14, [rdi + 96]; mov r15, [rdi + 104]",
        "mov rsp, [rdi + 112]; mov rdi, [rdi + 120]",
        "syscall",
        "2: mov [rip + {final_stack}], rsp",
        "mov rsp, [rip + {stack}]",
        "push rdi; mov rdi, [rsp + 8]",
        "mov [rdi], rax; mov [rdi + 8], rbx; mov [rdi + 16], rcx; mov [rdi + 24], rdx; mov [rdi + 32], rsi",
        "mov [rdi + 40], rbp; mov [rdi + 48], r8; mov [rdi + 56], r9; mov [rdi + 64], r10; mov [rdi + 72], r11",
        "mov [rdi + 80], r12; mov [rdi + 88], r13; mov [rdi + 96], r14; mov [rdi + 104], r15",
        "pop rax; mov [rdi + 120], rax",
        "mov rax, [rip + {final_stack}]; mov [rdi + 112], rax",
        "pop rdi; pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx",
        "lea rax, [rip + 2b]",
        "ret",
        stack = sym STACK,
        final_stack = sym FINAL_STACK,
    )
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut before = [0u64; 16];
    for (value, bytes) in before.iter_mut().zip(pattern(2, 128).chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(bytes);
        *value = u64::from_ne_bytes(word);
    }
    // futex(LOCK, FUTEX_WAIT_PRIVATE, 0, no time), with whatever in the arguments that it does not use.
    before[0] = libc::SYS_futex as u64;
    before[15] = LOCK.as_ptr() as u64;
    before[4] = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as u64;
    before[3] = 0;
    before[8] = 0;
    let call = Call::start(libc::SYS_futex, move || {
        let mut values = before;
        // SAFETY: no signal is sent to this thread; the call's arguments are valid.
        let next = unsafe { call_with_registers(&mut values) };
        (values, next)
    })?;
    gate.checkpoint()?;
    call.still()?;
    check_eq("the woken", futex(&LOCK, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1), (1, 0))?;
    let (after, next) = call.result()?;
    let mut wanted = before;
    wanted[0] = 0;
    wanted[2] = next;
    wanted[9] = after[9];
    check_eq("the registers (rax, rbx, rcx, rdx, rsi, rbp, r8-r15, rsp, rdi)", after, wanted)?;
    check("r11 holds user flags: always one, interrupts on, no trap", after[9] & 0x302 == 0x202)
}
