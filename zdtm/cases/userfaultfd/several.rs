//! Several descriptors of one process: each gets the faults of its own areas; one was never used, one has no features yet.
//@ needs: [kernel:userfaultfd, cap:sys_ptrace, kernel:6.7]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_memory::Area;
use crate::tools_userfault::{EVENT_UNMAP, Faults, MISSING, THREAD_ID};

pub fn run(gate: &mut Gate) -> Verdict {
    let areas = [Area::private(4)?, Area::private(4)?, Area::private(4)?];
    let (first, second) = (Faults::new(THREAD_ID)?, Faults::new(EVENT_UNMAP)?);
    let (unused, raw) = (Faults::new(0)?, Faults::raw(libc::O_NONBLOCK)?);
    first.register(&areas[0], MISSING)?;
    second.register(&areas[1], MISSING)?;
    first.register(&areas[2], MISSING)?;
    gate.checkpoint()?;
    for (faults, area) in [(&first, areas[0]), (&second, areas[1]), (&first, areas[2])] {
        let read = faults.check_fault(move || area.word(1), (0, area.at(1)), || faults.copy(&area.part(1..2), 1))?;
        check_eq("what the thread read", read, 1)?;
    }
    check("the features were chosen", unused.choose(0).is_err())?;
    raw.choose(0)?;
    let area = Area::private(1)?;
    unused.register(&area, MISSING)?;
    let read = unused.check_fault(move || area.word(0), (0, area.at(0)), || unused.copy(&area, 2))?;
    check_eq("what the thread read at last", read, 2)
}
