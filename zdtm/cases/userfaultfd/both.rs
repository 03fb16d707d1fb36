//! An area that is registered for missing and for write-protected pages.
//@ needs: [kernel:userfaultfd, cap:sys_ptrace, kernel:6.7]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::Area;
use crate::tools_userfault::{Faults, MISSING, WP};

pub fn run(gate: &mut Gate) -> Verdict {
    let faults = Faults::new(0)?;
    let area = Area::private(8)?;
    faults.register(&area, MISSING | WP)?;
    faults.copy(&area.part(1..2), 11)?;
    faults.copy(&area.part(2..3), 22)?;
    faults.protect(&area.part(2..3), true)?;
    gate.checkpoint()?;
    area.set(1, 12);
    check_eq("pages that are there", (area.word(1), area.word(2)), (12, 22))?;
    let (missing, protected) = (area.part(5..6), area.part(2..3));
    faults.check_fault(move || protected.set(0, 23), (3, protected.at(0)), || faults.protect(&protected, false))?;
    faults.check_fault(move || missing.set(0, 55), (1, missing.at(0)), || faults.copy(&missing, 50))?;
    check_eq("what the threads wrote", (area.word(2), area.word(5)), (23, 55))
}
