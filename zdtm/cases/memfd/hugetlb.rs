//! Memory files of huge pages keep size, data, holes, seals and mappings, shared and private.
//@ needs: [kernel:hugetlb, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_maps::{allow_huge_pages, kib, meminfo, smaps_of};
use crate::tools_memfd::{memfd, seal, seals};
use crate::tools_memory::{Area, RW, page};
use std::os::unix::fs::MetadataExt;

pub fn run(gate: &mut Gate) -> Verdict {
    allow_huge_pages()?;
    let huge = kib(&meminfo("Hugepagesize")?)? as usize * 1024 / page();
    let file = memfd(b"huge", libc::MFD_HUGETLB | libc::MFD_ALLOW_SEALING)?;
    file.set_len((4 * huge * page()) as u64)?;
    let shared = Area::file(3 * huge, RW, libc::MAP_SHARED | libc::MAP_NORESERVE, &file, 0)?;
    shared.set(0, 5);
    shared.part(2 * huge..3 * huge).fill(1);
    let private = Area::file(huge, RW, libc::MAP_PRIVATE, &file, 2 * huge as u64)?;
    private.set(1, 7);
    seal(&file, libc::F_SEAL_SHRINK)?;
    let blocks = file.metadata()?.blocks();
    gate.checkpoint()?;
    let status = file.metadata()?;
    check_eq("size, blocks", (status.len(), status.blocks()), ((4 * huge * page()) as u64, blocks))?;
    check_eq("the seals", seals(&file)?, libc::F_SEAL_SHRINK)?;
    check_eq("the first word", shared.word(0), 5)?;
    shared.part(2 * huge..3 * huge).check_fill("the third page", 1)?;
    check_eq("the private page", (private.word(0), private.word(1)), (shared.word(2 * huge), 7))?;
    for area in [shared, private] {
        let size = smaps_of(area.at(0))?.get("KernelPageSize").cloned();
        check_eq("the page size", size, Some(meminfo("Hugepagesize")?))?;
    }
    Ok(())
}
