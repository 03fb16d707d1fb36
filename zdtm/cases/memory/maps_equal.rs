//! /proc/self/maps and the flags of each area are the same before and after, for one area of each sort.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::{maps, vm_flags};
use crate::tools_memory::{Area, NONE, R, RW, RX, page};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    fs::write(gate.path("mapped"), vec![1u8; 8 * page()])?;
    let file = File::options().read(true).write(true).open(gate.path("mapped"))?;
    let (private, shared) = (libc::MAP_PRIVATE, libc::MAP_SHARED);
    let areas = [
        Area::private(3)?,
        Area::anonymous(3, NONE, private)?,
        Area::shared(3)?,
        Area::anonymous(3, RX, private)?,
        Area::anonymous(3, RW, private | libc::MAP_NORESERVE)?,
        Area::file(3, RW, private, &file, 1)?,
        Area::file(3, RX, private, &file, 0)?,
        Area::file(3, R, shared, &file, 2)?,
        Area::file(3, RW, shared, &file, 5)?,
        Area::anonymous(3, RW, private | libc::MAP_STACK)?,
        Area::anonymous(3, RW, private | libc::MAP_POPULATE)?,
    ];
    areas[0].set(0, 1);
    // A writable area made read-only after a write stays accounted (ac).
    areas[10].protect(R)?;
    let all_flags = || areas.iter().map(|a| vm_flags(a.at(1))).collect::<Verdict<Vec<_>>>();
    // The first reading may grow the heap.
    drop((maps("self")?, all_flags()?));
    let (before, flags) = (maps("self")?, all_flags()?);
    gate.checkpoint()?;
    let after = maps("self")?;
    for (was, is) in before.iter().zip(&after) {
        check_eq("a line of maps", is, was)?;
    }
    check_eq("the number of areas", after.len(), before.len())?;
    for (n, (was, is)) in flags.iter().zip(all_flags()?).enumerate() {
        check_eq(&format!("the flags of area {n}"), &is, was)?;
    }
    Ok(())
}
