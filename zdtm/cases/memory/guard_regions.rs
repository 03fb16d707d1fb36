//! Guard regions (MADV_GUARD_INSTALL) still fault, and the pages are usable again once the guard is removed.
//@ needs: [kernel:6.15]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::map_of;
use crate::tools_memory::{Area, read_fault, write_fault};
use nix::sys::signal::Signal;

const MADV_GUARD_INSTALL: i32 = 102;
const MADV_GUARD_REMOVE: i32 = 103;

pub fn run(gate: &mut Gate) -> Verdict {
    let area = Area::private(16)?;
    area.fill(1);
    let whole = map_of(area.at(0))?;
    for guard in [0..1, 5..8, 15..16] {
        area.part(guard).advise(MADV_GUARD_INSTALL)?;
    }
    gate.checkpoint()?;
    for n in 0..16 {
        let want = [0, 5, 6, 7, 15].contains(&n).then_some(Signal::SIGSEGV);
        check_eq(&format!("reading page {n}"), read_fault(area.at(n))?, want)?;
        check_eq(&format!("writing page {n}"), write_fault(area.at(n))?, want)?;
    }
    check_eq("the protection of the area", map_of(area.at(6))?.prot, whole.prot)?;
    area.part(5..8).advise(MADV_GUARD_REMOVE)?;
    area.part(5..8).check_zero("pages whose guard was removed")?;
    check_eq("a guard left in place", read_fault(area.at(15))?, Some(Signal::SIGSEGV))
}
