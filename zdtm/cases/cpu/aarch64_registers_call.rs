//! Every register but x0 keeps its value across a system call that was blocked at the dump, as the kernel's interface
//! promises.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_spin::pattern;
use crate::tools_tasks::Word;
use crate::tools_threads::{Call, futex};

static LOCK: Word = Word::new();

/// Loads x0 to x30 from `values`, makes the system call, and stores them back.
///
/// # Safety
/// The call's arguments are valid.
#[unsafe(naked)]
unsafe extern "C" fn call_with_registers(values: *mut [u64; 31]) {
    core::arch::naked_asm!(
        "stp x19, x20, [sp, #-112]!; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]; stp x25, x26, [sp, #48]",
        "stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]; str x0, [sp, #96]",
        "ldp x2, x3, [x0, #16]; ldp x4, x5, [x0, #32]; ldp x6, x7, [x0, #48]; ldp x8, x9, [x0, #64]",
        "ldp x10, x11, [x0, #80]; ldp x12, x13, [x0, #96]; ldp x14, x15, [x0, #112]; ldp x16, x17, [x0, #128]",
        "ldp x18, x19, [x0, #144]; ldp x20, x21, [x0, #160]; ldp x22, x23, [x0, #176]; ldp x24, x25, [x0, #192]",
        "ldp x26, x27, [x0, #208]; ldp x28, x29, [x0, #224]; ldr x30, [x0, #240]; ldp x0, x1, [x0]",
        "svc #0",
        "str x30, [sp, #104]; ldr x30, [sp, #96]",
        "stp x0, x1, [x30]; stp x2, x3, [x30, #16]; stp x4, x5, [x30, #32]; stp x6, x7, [x30, #48]",
        "stp x8, x9, [x30, #64]; stp x10, x11, [x30, #80]; stp x12, x13, [x30, #96]; stp x14, x15, [x30, #112]",
        "stp x16, x17, [x30, #128]; stp x18, x19, [x30, #144]; stp x20, x21, [x30, #160]; stp x22, x23, [x30, #176]",
        "stp x24, x25, [x30, #192]; stp x26, x27, [x30, #208]; stp x28, x29, [x30, #224]",
        "ldr x9, [sp, #104]; str x9, [x30, #240]",
        "ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]; ldp x25, x26, [sp, #48]",
        "ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]; ldp x19, x20, [sp], #112",
        "ret",
    )
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut before = [0u64; 31];
    for (value, bytes) in before.iter_mut().zip(pattern(2, 31 * 8).chunks_exact(8)) {
        *value = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    // futex(LOCK, FUTEX_WAIT_PRIVATE, 0, no time), with whatever in the arguments that it does not use.
    before[8] = libc::SYS_futex as u64;
    before[0] = LOCK.as_ptr() as u64;
    before[1] = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as u64;
    before[2] = 0;
    before[3] = 0;
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
    before[0] = 0;
    check_eq("the registers (x0 to x30)", after, before)
}
