//! What a program wrote into its vDSO is there again, byte by byte, with the protection that it gave it.
//@ routes: [once, thrice, leave-running]
use crate::gate::{Gate, Verdict, check, check_eq, fail};
use crate::tools_maps::kernel_areas;
use crate::tools_memory::{Area, page};
use nix::time::{ClockId, clock_gettime};

/// In the header of the ELF file: padding that nobody reads.
const PADDING: usize = 9;

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: only reads the auxiliary vector.
    let at = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as usize;
    let Some(area) = kernel_areas()?.into_iter().find(|m| m.start == at) else { return fail("no vDSO") };
    let pages = (area.end - area.start) / page();
    let whole = Area::at_address(at, pages);
    whole.protect(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)?;
    // SAFETY: the page is writable now, and the byte is padding.
    unsafe { ((at + PADDING) as *mut u8).write_volatile(0xa5) };
    // SAFETY: the vDSO is readable to its end.
    let bytes = || unsafe { std::slice::from_raw_parts(at as *const u8, pages * page()) }.to_vec();
    let (before, areas) = (bytes(), kernel_areas()?);
    check_eq("the byte", before[PADDING], 0xa5)?;
    gate.checkpoint()?;
    check("the vDSO is the same, byte by byte", bytes() == before)?;
    check_eq("its areas", kernel_areas()?, areas)?;
    whole.protect(libc::PROT_READ | libc::PROT_EXEC)?;
    clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(())
}
