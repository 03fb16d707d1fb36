//! Pages that are write-protected raise faults when they are written, others do not.
//@ needs: [kernel:userfaultfd, cap:sys_ptrace, kernel:6.7]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::Area;
use crate::tools_userfault::{Faults, WP};

pub fn run(gate: &mut Gate) -> Verdict {
    let faults = Faults::new(0)?;
    let area = Area::private(32)?;
    area.fill(1);
    let only_read = Area::private(4)?;
    check_eq("a zero page", only_read.word(1), 0)?;
    [&area, &only_read].into_iter().try_for_each(|area| faults.register(area, WP))?;
    faults.protect(&area.part(4..20), true)?;
    faults.protect(&area.part(9..11), false)?;
    faults.protect(&only_read.part(1..2), true)?;
    gate.checkpoint()?;
    area.check_fill("the pages", 1)?;
    [3, 9, 10, 20].into_iter().for_each(|n| area.set(n, 5));
    [0, 2].into_iter().for_each(|n| only_read.set(n, 5));
    for page in [area.part(4..5), area.part(8..9), area.part(19..20), only_read.part(1..2)] {
        faults.check_fault(move || page.set(0, 6), (3, page.at(0)), || faults.protect(&page, false))?;
        check_eq("what the thread wrote", page.word(0), 6)?;
    }
    Ok(())
}
