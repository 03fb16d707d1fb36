//! Every register but r2 keeps its value across a system call that was blocked at the dump, as the kernel's interface
//! promises; the access registers too.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::pattern;
use crate::tools_tasks::Word;
use crate::tools_threads::{Call, futex};

static LOCK: Word = Word::new();

/// Loads r0 to r14 from `values` and access registers 2 to 15 from behind them, makes the system call, and stores them
/// back.
///
/// # Safety
/// The call's arguments are valid.
#[unsafe(naked)]
unsafe extern "C" fn call_with_registers(values: *mut [u64; 23]) {
    core::arch::naked_asm!(
        "stmg %r6, %r15, 48(%r15)",
        "aghi %r15, -176",
        "stg %r2, 160(%r15)",
        "lam %a2, %a15, 120(%r2)",
        "lmg %r0, %r1, 0(%r2)",
        "lmg %r3, %r14, 24(%r2)",
        "lg %r2, 16(%r2)",
        "svc 0",
        "stg %r14, 168(%r15)",
        "lg %r14, 160(%r15)",
        "stmg %r0, %r13, 0(%r14)",
        "stam %a2, %a15, 120(%r14)",
        "lg %r1, 168(%r15)",
        "stg %r1, 112(%r14)",
        "aghi %r15, 176",
        "lmg %r6, %r15, 48(%r15)",
        "br %r14",
    )
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut before = [0u64; 23];
    for (value, bytes) in before.iter_mut().zip(pattern(2, 22 * 8).chunks_exact(8)) {
        *value = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    // futex(LOCK, FUTEX_WAIT_PRIVATE, 0, no time), with whatever in the arguments that it does not use.
    before[1] = libc::SYS_futex as u64;
    before[2] = LOCK.as_ptr() as u64;
    before[3] = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as u64;
    before[4] = 0;
    before[5] = 0;
    let call = Call::start(libc::SYS_futex, move || {
        let mut values = before;
        // SAFETY: the call's arguments are valid.
        unsafe { call_with_registers(&mut values) };
        values
    })?;
    gate.checkpoint()?;
    call.still()?;
    check_eq("the woken", futex(&LOCK, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1), (1, 0))?;
    let after = call.result()?;
    before[2] = 0;
    check_eq("the registers (r0 to r14, access registers)", after, before)
}
