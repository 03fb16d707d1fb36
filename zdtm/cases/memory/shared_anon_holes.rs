//! Shared anonymous memory that is sparse stays so: pages never written or punched out are zero and cost nothing.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_maps::{kib, smaps_of};
use crate::tools_memory::{Area, page};

pub fn run(gate: &mut Gate) -> Verdict {
    let pages = (256 << 20) / page();
    let area = Area::shared(pages)?;
    for n in (0..pages).step_by(1024) {
        area.set(n, n as u64 + 1);
    }
    area.part(10..20).fill(4);
    area.part(12..18).advise(libc::MADV_REMOVE)?;
    let resident = || kib(&smaps_of(area.at(0))?["Rss"]);
    let before = resident()?;
    gate.checkpoint()?;
    let after = resident()?;
    check(&format!("resident at most as much as before: {before} KiB, {after} KiB"), after <= before + 64)?;
    for n in (0..pages).step_by(1024) {
        check_eq("a sparse word", area.word(n), n as u64 + 1)?;
    }
    area.part(10..12).check_fill("before the punched hole", 4)?;
    area.part(12..18).check_zero("the punched hole")?;
    area.part(20..1024).check_zero("a hole never written")?;
    check("the page after the hole has data", area.word(18) != 0 && area.word(19) != 0)
}
