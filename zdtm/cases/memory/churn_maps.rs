//! A program that maps, fills, protects, moves, shares and unmaps memory all the time can be caught at any point.
//@ witness: -maps # they change all the time
use crate::gate::{Gate, Verdict};
use crate::tools_memory::{Area, R, RW};

/// One round of changes, each checked.
fn round(n: u64, kept: &mut Vec<(Area, u64)>) -> Verdict {
    let area = Area::private(8)?;
    area.fill(n);
    area.part(2..3).protect(R)?;
    area.check_fill("a fresh area", n)?;
    area.part(2..3).protect(RW)?;
    let moved = area.remap(12, libc::MREMAP_MAYMOVE, 0)?;
    moved.part(0..8).check_fill("a moved area", n)?;
    moved.part(8..12).check_zero("the grown end")?;
    moved.part(0..8).advise(libc::MADV_DONTNEED)?;
    moved.check_zero("an area given back")?;
    moved.fill(n);
    let shared = Area::shared(4)?;
    shared.fill(n + 1);
    kept.push((moved, n));
    kept.push((shared, n + 1));
    while kept.len() > 40 {
        let (old, seed) = kept.remove((n as usize * 7) % kept.len());
        old.check_fill("an area kept for a while", seed)?;
        old.unmap()?;
    }
    Ok(())
}

pub fn run(gate: &mut Gate) -> Verdict {
    let mut kept = Vec::new();
    let mut n = 0;
    while !gate.passed() {
        n += 1;
        round(n, &mut kept)?;
        if n == 50 {
            gate.ready();
        }
    }
    kept.into_iter().try_for_each(|(area, seed)| area.check_fill("an area kept to the end", seed))
}
