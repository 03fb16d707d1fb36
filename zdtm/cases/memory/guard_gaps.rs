//! Guard pages stay inaccessible, gaps between areas stay unmapped, and the areas between them keep their data.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_maps::map_of;
use crate::tools_memory::{Area, NONE, RW, read_fault, write_fault};
use nix::sys::signal::Signal;

pub fn run(gate: &mut Gate) -> Verdict {
    // Pages: 0 guard, 1-2 data, 3 guard, 4 gap, 5 data, 6 gap, 7 read-only, 8 data.
    let all = Area::anonymous(9, NONE, libc::MAP_PRIVATE)?;
    for data in [1..3, 5..6, 7..9] {
        all.part(data.clone()).protect(RW)?;
        all.part(data.clone()).fill(data.start as u64);
    }
    all.part(7..8).protect(crate::tools_memory::R)?;
    all.part(4..5).unmap()?;
    all.part(6..7).unmap()?;
    gate.checkpoint()?;
    for guard in [0, 3] {
        check_eq("reading a guard page", read_fault(all.at(guard))?, Some(Signal::SIGSEGV))?;
        check_eq("the guard's protection", map_of(all.at(guard))?.prot, "---p".to_owned())?;
    }
    for gap in [4, 6] {
        check("a gap is still unmapped", !all.part(gap..gap + 1).mapped())?;
        check_eq("reading a gap", read_fault(all.at(gap))?, Some(Signal::SIGSEGV))?;
    }
    check_eq("writing the read-only page", write_fault(all.at(7))?, Some(Signal::SIGSEGV))?;
    for data in [1..3, 5..6, 7..9] {
        all.part(data.clone()).check_fill("data between guards", data.start as u64)?;
    }
    Ok(())
}
