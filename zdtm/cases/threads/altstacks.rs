//! Each thread keeps its own alternate signal stack with its flags: none, one, one that disarms itself; and a handler
//! that runs after the restore runs on it.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_signals::handle_info;
use crate::tools_tasks::{Word, gettid, outcome};
use crate::tools_threads::{Setup, each_thread};
use std::ffi::{c_int, c_void};

const SIZE: usize = 64 << 10;
const AUTODISARM: c_int = 1 << 31;

/// Where the last handler's frame lay: its low and high half.
static FRAME: [Word; 2] = [const { Word::new() }; 2];
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

extern "C" fn handler(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    let here = 0u8;
    let at = std::hint::black_box(&raw const here) as usize;
    FRAME[0].set(at as u32);
    FRAME[1].set((at >> 32) as u32);
}

fn current() -> Verdict<(usize, i32, usize)> {
    // SAFETY: an all-zero stack description is valid; the kernel writes it.
    let mut stack: libc::stack_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above; no new stack is set.
    check_eq("sigaltstack", outcome(unsafe { libc::sigaltstack(std::ptr::null(), &mut stack) }), (0, 0))?;
    Ok((stack.ss_sp as usize, stack.ss_flags, stack.ss_size))
}

/// The stack, and whether a handler runs on it.
fn observe() -> Verdict<((usize, i32, usize), bool)> {
    let stack = current()?;
    let turn = TURN.lock().or_else(|_| crate::gate::fail("a thread panicked"))?;
    crate::tools_signals::tgkill(gettid(), libc::SIGUSR1)?;
    let frame = FRAME[0].get() as usize | (FRAME[1].get() as usize) << 32;
    drop(turn);
    let on_it = (stack.0..stack.0 + stack.2).contains(&frame);
    check_eq("whether the handler ran on the alternate stack", on_it, stack.0 != 0)?;
    check_eq("the stack after a handler", current()?, stack)?;
    Ok((stack, on_it))
}

pub fn run(gate: &mut Gate) -> Verdict {
    handle_info(libc::SIGUSR1, handler, libc::SA_ONSTACK)?;
    let setup = |flags: c_int, size: usize| -> Setup {
        Box::new(move || {
            let memory = vec![0u8; SIZE].leak();
            let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: flags, ss_size: size };
            // SAFETY: the memory is never freed.
            check_eq("sigaltstack", outcome(unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) }), (0, 0))?;
            check("the stack is there", current()?.0 != 0)
        })
    };
    each_thread(gate, vec![setup(0, SIZE), setup(0, SIZE - 4096), setup(AUTODISARM, SIZE)], observe)
}
