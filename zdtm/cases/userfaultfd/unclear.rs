//! A descriptor of two processes that watches nothing yet is refused: it does not show whose memory it would watch.
//@ dump-fails: "it does not show whose memory it watches"
//@ needs: [kernel:userfaultfd, cap:sys_ptrace, kernel:6.7]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_memory::Area;
use crate::tools_tasks::{Word, stay};
use crate::tools_userfault::{Faults, MISSING};

pub fn run(gate: &mut Gate) -> Verdict {
    let faults = Faults::new(0)?;
    let arrived = Word::shared()?;
    let child = gate.fork(|gate| stay(gate, arrived))?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    wait_ok(child)?;
    let area = Area::private(1)?;
    faults.register(&area, MISSING)?;
    let read = faults.check_fault(move || area.word(0), (0, area.at(0)), || faults.copy(&area, 2))?;
    check_eq("what the thread read", read, 2)
}
