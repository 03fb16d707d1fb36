//! A child has the descriptor of its parent, and resolves the parent's faults; its own memory is not watched.
//@ needs: [kernel:userfaultfd, cap:sys_ptrace, kernel:6.7]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_memory::Area;
use crate::tools_tasks::{Word, stay};
use crate::tools_userfault::{Faults, MISSING};

pub fn run(gate: &mut Gate) -> Verdict {
    let faults = Faults::raw(0)?;
    faults.choose(0)?;
    let area = Area::private(8)?;
    faults.register(&area, MISSING)?;
    let arrived = Word::shared()?;
    let child = gate.fork(|gate| {
        check_eq("the child's own page", area.word(1), 0)?;
        stay(gate, arrived)?;
        check_eq("another page of the child's", area.word(2), 0)?;
        check_eq("the parent's fault", faults.next()?, (0, area.at(5)))?;
        Ok(faults.copy(&area.part(5..6), 55)?)
    })?;
    arrived.wait_for(1);
    gate.checkpoint()?;
    check_eq("what the parent read", area.word(5), 55)?;
    wait_ok(child)
}
