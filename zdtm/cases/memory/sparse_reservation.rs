//! Reservations of 1 TiB (PROT_NONE, and writable without reserve) with a few pages in them cost next to nothing.
//@ timeout: 60 # before 6.7 each dump reads the whole page map
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::status_field;
use crate::tools_maps::{kib, vm_flags};
use crate::tools_memory::{Area, NONE, RW, page};

pub fn run(gate: &mut Gate) -> Verdict {
    let pages = (1 << 40) / page();
    let reserved = Area::anonymous(pages, NONE, libc::MAP_PRIVATE | libc::MAP_NORESERVE)?;
    let sparse = Area::anonymous(pages, RW, libc::MAP_PRIVATE | libc::MAP_NORESERVE)?;
    let places: Vec<usize> = (0..20).map(|n| n * (pages / 20) + n * 37).collect();
    for n in &places {
        sparse.set(*n, *n as u64 + 5);
        // Parts of the reservation that are in use, as allocators commit them.
        reserved.part(*n..*n + 1).protect(RW)?;
        reserved.set(*n, *n as u64 + 6);
    }
    let resident = || kib(&status_field("self", "VmRSS")?);
    let before = resident()?;
    gate.checkpoint()?;
    let after = resident()?;
    check(&format!("resident at most 1 MiB more: {before} KiB, {after} KiB"), after <= before + 1024)?;
    check("the flag nr", vm_flags(sparse.at(0))?.contains(&"nr".to_owned()))?;
    check("the size is more than 2 TiB", kib(&status_field("self", "VmSize")?)? > 2 << 30)?;
    for n in &places {
        check_eq("a page of the sparse area", sparse.word(*n), *n as u64 + 5)?;
        check_eq("a page of the reservation", reserved.word(*n), *n as u64 + 6)?;
    }
    check_eq("an untouched page", sparse.word(pages - 1), 0)
}
