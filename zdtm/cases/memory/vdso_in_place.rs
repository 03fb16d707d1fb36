//! The vDSO stays where the auxiliary vector says, and time asked through it agrees with the kernel's.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_maps::map_of;
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

fn kernel_time() -> Verdict<Duration> {
    // SAFETY: all-zero is a valid timespec.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the structure outlives the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut now) })?;
    Ok(Duration::from(nix::sys::time::TimeSpec::from(now)))
}

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: only reads the auxiliary vector.
    let at = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as usize;
    check_eq("the vDSO's name", map_of(at)?.name, "[vdso]".to_owned())?;
    let start = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    gate.checkpoint()?;
    check_eq("the vDSO's start", map_of(at)?.start, at)?;
    check_eq("the vDSO's name", map_of(at)?.name, "[vdso]".to_owned())?;
    let mut last = start;
    for _ in 0..1000 {
        let (before, through, after) =
            (kernel_time()?, Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?), kernel_time()?);
        check("time through the vDSO lies between two times of the kernel", before <= through && through <= after)?;
        check("time goes on", through >= last)?;
        last = through;
    }
    Ok(())
}
