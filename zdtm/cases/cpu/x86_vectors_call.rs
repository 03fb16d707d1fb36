//! Vector registers and x87 registers keep their values across a system call that was blocked at the dump, though few
//! programs expect it of the kernel.
//@ needs: [avx]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_spin::pattern;
use crate::tools_tasks::Word;
use crate::tools_threads::{Call, futex};

static LOCK: Word = Word::new();

/// Loads the AVX registers from `data` and pi into x87, waits on the futex, and returns what the registers hold then.
fn wait_with(data: &[u8]) -> (i64, Vec<u8>, f64) {
    let (mut after, mut number) = (vec![0u8; 512], 0f64);
    let result: i64;
    // SAFETY: the buffers hold 512 bytes; the futex word is static; no time is given.
    unsafe {
        core::arch::asm!(
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "vmovdqu ymm\\n, [{data} + 32 * \\n]",
            ".endr",
            "fldpi",
            "syscall",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "vmovdqu [{after} + 32 * \\n], ymm\\n",
            ".endr",
            "fstp qword ptr [{number}]",
            "vzeroupper",
            data = in(reg) data.as_ptr(),
            after = in(reg) after.as_mut_ptr(),
            number = in(reg) &raw mut number,
            inout("rax") libc::SYS_futex => result,
            in("rdi") LOCK.as_ptr(),
            in("rsi") libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            in("rdx") 0,
            in("r10") 0,
            out("rcx") _, out("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        );
    }
    (result, after, number)
}

pub fn run(gate: &mut Gate) -> Verdict {
    let before = pattern(21, 512);
    let data = before.clone();
    let call = Call::start(libc::SYS_futex, move || wait_with(&data))?;
    gate.checkpoint()?;
    call.still()?;
    check_eq("the woken", futex(&LOCK, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1), (1, 0))?;
    let (result, after, number) = call.result()?;
    check_eq("the wait", result, 0)?;
    check("the vector registers are as they were", after == before)?;
    check_eq("the x87 register", number, std::f64::consts::PI)
}
