//! The vDSO is where the auxiliary vector says, is an ELF image there, and the vector itself is unchanged.
use crate::gate::{Gate, Verdict, check, check_eq};

fn area() -> Verdict<Option<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let line = maps.lines().find(|l| l.ends_with("[vdso]"));
    Ok(line.and_then(|l| usize::from_str_radix(l.split('-').next()?, 16).ok()))
}

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the call takes a number only.
    let address = || unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as usize;
    let (before, vector) = (address(), std::fs::read("/proc/self/auxv")?);
    check("a vDSO", before != 0)?;
    gate.checkpoint()?;
    check_eq("the address in the vector", address(), before)?;
    check_eq("the vector in /proc", std::fs::read("/proc/self/auxv")?, vector)?;
    check_eq("the area in /proc", area()?, Some(before))?;
    // SAFETY: the vDSO's first page is mapped readable there.
    let magic = unsafe { std::ptr::read_volatile(before as *const [u8; 4]) };
    check_eq("the first bytes", &magic, b"\x7fELF")
}
