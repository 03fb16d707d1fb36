//! An area that is watched through a descriptor which its process has given away and closed is refused.
//@ dump-fails: "it is registered with a userfaultfd that its process does not have"
//@ needs: [kernel:userfaultfd, cap:sys_ptrace, kernel:6.7]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_files::close_in_child;
use crate::tools_memory::Area;
use crate::tools_tasks::{Word, stay};
use crate::tools_userfault::{Faults, MISSING};

pub fn run(gate: &mut Gate) -> Verdict {
    let faults = Faults::raw(0)?;
    faults.choose(0)?;
    let area = Area::private(4)?;
    faults.register(&area, MISSING)?;
    let arrived = Word::shared()?;
    let child = gate.fork(|gate| {
        stay(gate, arrived)?;
        check_eq("the parent's fault", faults.next()?, (0, area.at(3)))?;
        Ok(faults.copy(&area.part(3..4), 8)?)
    })?;
    arrived.wait_for(1);
    close_in_child(&faults.0);
    std::mem::forget(faults);
    gate.checkpoint()?;
    check_eq("what the parent read", area.word(3), 8)?;
    wait_ok(child)
}
