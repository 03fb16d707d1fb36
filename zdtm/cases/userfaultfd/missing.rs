//! Pages that are missing raise faults, and those that were put there do not, be they zero or not.
//@ needs: [kernel:userfaultfd, cap:sys_ptrace, kernel:6.7]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::Area;
use crate::tools_userfault::{Faults, MISSING};

pub fn run(gate: &mut Gate) -> Verdict {
    let faults = Faults::new(0)?;
    let area = Area::private(64)?;
    area.set(7, 77);
    faults.register(&area, MISSING)?;
    faults.copy(&area.part(3..4), 33)?;
    faults.zero(&area.part(10..12))?;
    gate.checkpoint()?;
    check_eq("pages that are there", [7, 3, 10, 11].map(|n| area.word(n)), [77, 33, 0, 0])?;
    for n in [0, 2, 4, 12, 63] {
        let page = area.part(n..n + 1);
        let word = faults.check_fault(move || page.word(0), (0, page.at(0)), || faults.copy(&page, n as u64))?;
        check_eq("what the thread read", word, n as u64)?;
    }
    faults.unregister(&area)?;
    check_eq("a page when nobody watches any more", area.word(50), 0)
}
