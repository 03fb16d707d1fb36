//! Memory with MADV_DONTFORK is still missing in a later child, memory with MADV_WIPEONFORK is still zero there.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::vm_flags;
use crate::tools_memory::Area;

pub fn run(gate: &mut Gate) -> Verdict {
    let (kept, missing, wiped) = (Area::private(2)?, Area::private(2)?, Area::private(2)?);
    for (i, area) in [kept, missing, wiped].iter().enumerate() {
        area.fill(i as u64);
    }
    missing.advise(libc::MADV_DONTFORK)?;
    wiped.advise(libc::MADV_WIPEONFORK)?;
    gate.checkpoint()?;
    for (i, area) in [kept, missing, wiped].iter().enumerate() {
        area.check_fill("an area of the parent", i as u64)?;
    }
    check("the flag dc", vm_flags(missing.at(0))?.contains(&"dc".to_owned()))?;
    check("the flag wf", vm_flags(wiped.at(0))?.contains(&"wf".to_owned()))?;
    let child = gate.fork(|_| {
        kept.check_fill("ordinary memory in the child", 0)?;
        check_eq("MADV_DONTFORK memory is mapped in the child", missing.mapped(), false)?;
        wiped.check_zero("MADV_WIPEONFORK memory in the child")
    })?;
    wait_ok(child)
}
