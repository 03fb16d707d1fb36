//! Every general register keeps its 64 bits in a loop without system calls, the stack pointer too, though it points
//! nowhere: nothing may use the stack of a frozen task.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::Spin;
use crate::tools_spin::{pattern, spin};
use std::sync::atomic::{AtomicU64, Ordering};

static WORDS: Spin = Spin::new();
static STACK: AtomicU64 = AtomicU64::new(0);
static FINAL_STACK: AtomicU64 = AtomicU64::new(0);

/// Loads the registers from `values` (rax, rbx, rcx, rdx, rsi, rbp, r8 to r15, rsp, rdi), spins, and stores them back.
///
/// # Safety
/// No signal may reach the thread meanwhile, as there is no stack for a handler.
#[unsafe(naked)]
unsafe extern "C" fn spin_registers(values: *mut [u64; 16]) {
    core::arch::naked_asm!(
        "push rbx; push rbp; push r12; push r13; push r14; push r15; push rdi",
        "mov [rip + {stack}], rsp",
        "mov rax, [rdi]; mov rbx, [rdi + 8]; mov rcx, [rdi + 16]; mov rdx, [rdi + 24]; mov rsi, [rdi + 32]",
        "mov rbp, [rdi + 40]; mov r8, [rdi + 48]; mov r9, [rdi + 56]; mov r10, [rdi + 64]; mov r11, [rdi + 72]",
        "mov r12, [rdi + 80]; mov r13, [rdi + 88]; mov r14, [rdi + 96]; mov r15, [rdi + 104]",
        "mov rsp, [rdi + 112]; mov rdi, [rdi + 120]",
        "mov dword ptr [rip + {words} + 4], 1",
        "2: pause; cmp dword ptr [rip + {words}], 0; je 2b",
        "mov [rip + {final_stack}], rsp",
        "mov rsp, [rip + {stack}]",
        "push rdi; mov rdi, [rsp + 8]",
        "mov [rdi], rax; mov [rdi + 8], rbx; mov [rdi + 16], rcx; mov [rdi + 24], rdx; mov [rdi + 32], rsi",
        "mov [rdi + 40], rbp; mov [rdi + 48], r8; mov [rdi + 56], r9; mov [rdi + 64], r10; mov [rdi + 72], r11",
        "mov [rdi + 80], r12; mov [rdi + 88], r13; mov [rdi + 96], r14; mov [rdi + 104], r15",
        "pop rax; mov [rdi + 120], rax",
        "mov rax, [rip + {final_stack}]; mov [rdi + 112], rax",
        "pop rdi; pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx",
        "ret",
        stack = sym STACK,
        final_stack = sym FINAL_STACK,
        words = sym WORDS,
    )
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut wanted = [0u64; 16];
    for (value, bytes) in wanted.iter_mut().zip(pattern(1, 128).chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(bytes);
        *value = u64::from_ne_bytes(word);
    }
    let mut values = wanted;
    let got = spin(gate, move |words| {
        // The loop's own words are static, so that no register is needed to reach them.
        let relay = std::thread::spawn(move || {
            while WORDS.running.get() == 0 {
                std::thread::yield_now();
            }
            words.running.set(1);
            words.stop.wait_for(1);
            WORDS.stop.set(1);
        });
        // SAFETY: no signal is sent to this thread.
        unsafe { spin_registers(&mut values) };
        relay.join().map_or([0; 16], |()| values)
    })?;
    check_eq("the stack pointer as it was", STACK.load(Ordering::Relaxed) != 0, true)?;
    check_eq("the registers (rax, rbx, rcx, rdx, rsi, rbp, r8-r15, rsp, rdi)", got, wanted)
}
