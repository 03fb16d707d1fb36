//! A thread that had the CPUID instruction forbidden to itself still gets a signal for it; others may use it.
//@ needs: [cpuid_fault]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_tasks::{Word, outcome};
use crate::tools_threads::{join, spawn};
use crate::tools_x86::{caught_faults, skip_faults};

const GET_CPUID: i32 = 0x1011;
const SET_CPUID: i32 = 0x1012;

/// CPUID or a fault; both are over after two bytes.
fn identify() {
    // SAFETY: the instruction only writes the four registers; rbx is put back.
    unsafe {
        core::arch::asm!("mov {saved}, rbx; cpuid; mov rbx, {saved}", saved = out(reg) _, inout("eax") 0 => _,
            inout("ecx") 0 => _, out("edx") _);
    }
}

fn arch_prctl(operation: i32, value: u64) -> (i64, i32) {
    // SAFETY: the two operations take a number or nothing.
    outcome(unsafe { libc::syscall(libc::SYS_arch_prctl, operation, value) })
}

pub fn run(gate: &mut Gate) -> Verdict {
    static STEP: Word = Word::new();
    skip_faults(2)?;
    let denied = spawn(|| {
        check_eq("ARCH_SET_CPUID", arch_prctl(SET_CPUID, 0), (0, 0))?;
        identify();
        STEP.bump();
        STEP.wait_for(2);
        check_eq("ARCH_GET_CPUID", arch_prctl(GET_CPUID, 0), (0, 0))?;
        identify();
        check_eq("ARCH_SET_CPUID", arch_prctl(SET_CPUID, 1), (0, 0))
    })?;
    STEP.wait_for(1);
    check_eq("faults before", caught_faults(), 1)?;
    gate.checkpoint()?;
    identify();
    check("no fault in the main thread", caught_faults() == 1)?;
    check_eq("ARCH_GET_CPUID of the main thread", arch_prctl(GET_CPUID, 0), (1, 0))?;
    STEP.bump();
    join(denied)??;
    check_eq("faults after", caught_faults(), 2)
}
