//! Shared memory: missing pages, and pages that are there and raise a minor fault where they are not mapped.
//@ needs: [kernel:userfaultfd, cap:sys_ptrace, kernel:6.7]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_memory::{Area, RW};
use crate::tools_userfault::{Faults, MINOR, MINOR_SHMEM, MISSING};

pub fn run(gate: &mut Gate) -> Verdict {
    let faults = Faults::new(MINOR_SHMEM)?;
    let missing = Area::shared(8)?;
    missing.set(2, 2);
    faults.register(&missing, MISSING)?;
    let minor = Area::shared(8)?;
    // A second view of the same memory.
    let view = minor.remap_copy()?;
    (0..4).for_each(|n| view.set(n, 100 + n as u64));
    // A read would map its neighbours, too.
    minor.set(1, 101);
    faults.register(&minor, MINOR)?;
    gate.checkpoint()?;
    check_eq("pages that are there", (missing.word(2), minor.word(1), view.word(3)), (2, 101, 103))?;
    let (gone, unmapped) = (missing.part(3..4), minor.part(3..4));
    let word = faults.check_fault(move || gone.word(0), (0, gone.at(0)), || faults.copy(&gone, 9))?;
    check_eq("what the thread read", word, 9)?;
    let word = faults.check_fault(move || unmapped.word(0), (4, unmapped.at(0)), || faults.go_on(&unmapped))?;
    check_eq("what the other thread read", word, 103)?;
    check_eq("the protection", minor.protect(RW), Ok(()))
}
