//! Segment bases: what arch_prctl set for gs in each thread is there and in use after the restore; the C library's fs
//! base is its own thread's.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_tasks::{must, outcome};
use crate::tools_threads::{Setup, each_thread};

const SET_GS: i32 = 0x1001;
const GET_FS: i32 = 0x1003;
const GET_GS: i32 = 0x1004;

fn base(which: i32) -> Verdict<u64> {
    let mut value = 0u64;
    // SAFETY: the kernel writes eight bytes.
    must("arch_prctl", outcome(unsafe { libc::syscall(libc::SYS_arch_prctl, which, &raw mut value) }))?;
    Ok(value)
}

/// The bases, the word at fs:0 (the C library keeps the base itself there), and the word at gs:8 where there is a base.
fn observe() -> Verdict<[u64; 4]> {
    let (fs, gs) = (base(GET_FS)?, base(GET_GS)?);
    let (at_fs, mut at_gs): (u64, u64);
    at_gs = 0;
    // SAFETY: the C library's thread block is at fs; gs is the address of memory that is never freed.
    unsafe {
        core::arch::asm!("mov {}, fs:[0]", out(reg) at_fs);
        if gs != 0 {
            core::arch::asm!("mov {}, gs:[8]", out(reg) at_gs);
        }
    }
    check_eq("the word at fs:0", at_fs, fs)?;
    Ok([fs, gs, at_fs, at_gs])
}

pub fn run(gate: &mut Gate) -> Verdict {
    let setup = |value: u64| -> Setup {
        Box::new(move || {
            let memory: &'static [u64; 2] = Box::leak(Box::new([0, value]));
            // SAFETY: gs is used by nothing but this case.
            let done = unsafe { libc::syscall(libc::SYS_arch_prctl, SET_GS, memory.as_ptr()) };
            must("ARCH_SET_GS", outcome(done))?;
            check_eq("the word at gs:8", observe()?[3], value)
        })
    };
    each_thread(gate, vec![setup(0x1111_2222_3333_4444), setup(0x5555), setup(u64::MAX)], observe)
}
