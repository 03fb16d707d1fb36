//! Lasting advice (dontdump, hugepage, nohugepage, random, sequential, mergeable) stays on exactly its areas.
//@ needs: [kernel:ksm, kernel:thp]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::vm_flags;
use crate::tools_memory::Area;

const ADVICE: [(i32, &str); 6] = [
    (libc::MADV_DONTDUMP, "dd"),
    (libc::MADV_HUGEPAGE, "hg"),
    (libc::MADV_NOHUGEPAGE, "nh"),
    (libc::MADV_RANDOM, "rr"),
    (libc::MADV_SEQUENTIAL, "sr"),
    (libc::MADV_MERGEABLE, "mg"),
];

pub fn run(gate: &mut Gate) -> Verdict {
    // One area; each advice on two pages of it with two pages without any between them.
    let area = Area::private(ADVICE.len() * 4)?;
    area.fill(8);
    for (i, (advice, _)) in ADVICE.iter().enumerate() {
        area.part(i * 4..i * 4 + 2).advise(*advice)?;
    }
    gate.checkpoint()?;
    for (i, (_, flag)) in ADVICE.iter().enumerate() {
        for (offset, want) in [(0, true), (1, true), (2, false), (3, false)] {
            let flags = vm_flags(area.at(i * 4 + offset))?;
            check_eq(&format!("{flag} on page {}", i * 4 + offset), flags.contains(&(*flag).to_owned()), want)?;
        }
    }
    area.check_fill("data under advice", 8)
}
