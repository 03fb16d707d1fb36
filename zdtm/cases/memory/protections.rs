//! Each of the eight protections of private memory stays, in /proc and in deed, and what lies beneath it stays too.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::map_of;
use crate::tools_memory::{Area, NONE, RW, read_fault, write_fault};
use nix::sys::signal::Signal;

type Faults = (Option<Signal>, Option<Signal>);

fn faults(area: &Area) -> Verdict<Faults> {
    Ok((read_fault(area.at(0))?, write_fault(area.at(1))?))
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut areas = Vec::new();
    for prot in 0..8 {
        let area = Area::private(2)?;
        area.fill(prot as u64);
        area.protect(prot)?;
        areas.push((prot, area, faults(&area)?));
    }
    gate.checkpoint()?;
    for (prot, area, before) in &areas {
        let letter = |bit, c| if prot & bit != 0 { c } else { '-' };
        let want: String =
            [letter(libc::PROT_READ, 'r'), letter(libc::PROT_WRITE, 'w'), letter(libc::PROT_EXEC, 'x'), 'p']
                .iter()
                .collect();
        check_eq("the protection in maps", map_of(area.at(0))?.prot, want)?;
        check_eq(&format!("faults under protection {prot}"), faults(area)?, *before)?;
        if *prot == NONE {
            check_eq("a read under PROT_NONE", before.0, Some(Signal::SIGSEGV))?;
        }
        area.protect(RW)?;
        area.check_fill(&format!("data under protection {prot}"), *prot as u64)?;
    }
    Ok(())
}
