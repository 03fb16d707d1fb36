//! 20 000 areas, each with its own protection and data, come back one by one.
//@ timeout: 120
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::maps;
use crate::tools_memory::{Area, NONE, R};

const COUNT: usize = 20_000;

pub fn run(gate: &mut Gate) -> Verdict {
    let area = Area::private(COUNT)?;
    for n in 0..COUNT {
        area.set(n, n as u64 ^ 0xabcd);
    }
    // Every second page differs from both neighbours; every thousandth is a hole.
    for n in (0..COUNT).step_by(2) {
        let part = area.part(n..n + 1);
        if n % 1000 == 0 { part.unmap()? } else { part.protect(if n % 3 == 0 { NONE } else { R })? }
    }
    let within = || -> Verdict<Vec<_>> {
        Ok(maps("self")?.into_iter().filter(|m| m.start >= area.at(0) && m.end <= area.at(COUNT)).collect())
    };
    let before = within()?;
    gate.checkpoint()?;
    let after = within()?;
    check_eq("the number of areas", after.len(), before.len())?;
    for (was, is) in before.iter().zip(&after) {
        check_eq("an area", is, was)?;
    }
    for n in (0..COUNT).filter(|n| n % 1000 != 0) {
        if n % 6 == 0 {
            area.part(n..n + 1).protect(R)?;
        }
        check_eq(&format!("page {n}"), area.word(n), n as u64 ^ 0xabcd)?;
    }
    Ok(())
}
