//! A thread caught in a handler on its alternate stack: the stack is still in use, cannot be changed, and the handler
//! returns to where the signal came, with the numbers that were in the registers.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_signals::{current_mask, handle_info, mask, tgkill};
use crate::tools_tasks::{Outcome, Word, gettid, outcome};
use crate::tools_threads::{join, spawn};
use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;

const SIZE: usize = 64 << 10;
const AUTODISARM: c_int = 1 << 31;

static STEP: Word = Word::new();
/// What a handler saw of its stack after the gate: address, flags, size, how an attempt to change it ended, its mask.
type Sight = (usize, c_int, usize, Outcome, u64);

static SEEN: Mutex<Vec<Sight>> = Mutex::new(Vec::new());

fn altstack(new: *const libc::stack_t) -> (libc::stack_t, Outcome) {
    // SAFETY: an all-zero stack description is valid; the kernel writes it.
    let mut old: libc::stack_t = unsafe { std::mem::zeroed() };
    // SAFETY: the new stack, where given, is memory that is never freed.
    let done = outcome(unsafe { libc::sigaltstack(new, &mut old) });
    (old, done)
}

extern "C" fn handler(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    STEP.bump();
    STEP.wait_for(10);
    let (now, _) = altstack(null());
    let change = altstack(&now).1;
    if let Ok(mut seen) = SEEN.lock() {
        seen.push((now.ss_sp as usize, now.ss_flags, now.ss_size, change, current_mask()));
    }
}

/// Goes into the handler with numbers at hand; returns the stack and the numbers found afterwards.
fn enter(flags: c_int) -> Verdict<(usize, c_int, usize, f64)> {
    let memory = vec![0u8; SIZE].leak();
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: flags, ss_size: SIZE };
    check_eq("sigaltstack", altstack(&stack).1, (0, 0))?;
    let mut sum = 0.0;
    for n in 1..=10 {
        sum += std::hint::black_box(1.0 / f64::from(n));
        if n == 5 {
            tgkill(gettid(), libc::SIGUSR1)?;
        }
    }
    let (after, _) = altstack(null_mut());
    check_eq("the stack's address", after.ss_sp as usize, stack.ss_sp as usize)?;
    Ok((after.ss_sp as usize, after.ss_flags, after.ss_size, sum))
}

pub fn run(gate: &mut Gate) -> Verdict {
    handle_info(libc::SIGUSR1, handler, libc::SA_ONSTACK)?;
    let wanted: f64 = (1..=10).map(|n| 1.0 / f64::from(n)).sum();
    let plain = spawn(|| enter(0))?;
    STEP.wait_for(1);
    let disarmed = spawn(|| enter(AUTODISARM))?;
    STEP.wait_for(2);
    gate.checkpoint()?;
    STEP.set(10);
    let (plain, disarmed) = (join(plain)??, join(disarmed)??);
    check_eq("flags, size and sum, plain", (plain.1, plain.2, plain.3), (0, SIZE, wanted))?;
    check_eq("flags, size and sum, disarmed", (disarmed.1, disarmed.2, disarmed.3), (AUTODISARM, SIZE, wanted))?;
    let mut seen = std::mem::take(&mut *SEEN.lock()?);
    seen.sort_by_key(|s| s.1);
    let mask = mask(&[libc::SIGUSR1]);
    let in_use = (plain.0, libc::SS_ONSTACK, SIZE, (-1, libc::EPERM), mask);
    let disarmed_in_use = (0, libc::SS_DISABLE, 0, (0, 0), mask);
    check_eq("what the handlers saw", seen, vec![in_use, disarmed_in_use])
}
