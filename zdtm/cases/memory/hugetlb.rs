//! Huge pages from the pool, private and shared, keep their data, their kind and their sharing.
//@ needs: [kernel:hugetlb, cap:sys_admin]
//@ witness: -inode # the hidden file behind private huge pages is the kernel's own and new
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools::wait_ok;
use crate::tools_maps::{allow_huge_pages, kib, meminfo, smaps_of, vm_flags};
use crate::tools_memory::{Area, RW, page};
use crate::tools_relatives::{arrive, await_word, shared_word};

pub fn run(gate: &mut Gate) -> Verdict {
    allow_huge_pages()?;
    let huge = kib(&meminfo("Hugepagesize")?)? as usize * 1024 / page();
    let private = Area::anonymous(huge, RW, libc::MAP_PRIVATE | libc::MAP_HUGETLB)?;
    let shared = Area::anonymous(huge, RW, libc::MAP_SHARED | libc::MAP_HUGETLB)?;
    let empty = Area::anonymous(huge, RW, libc::MAP_PRIVATE | libc::MAP_HUGETLB | libc::MAP_NORESERVE)?;
    private.fill(1);
    shared.fill(2);
    let word = shared_word()?;
    let child = gate.fork(|gate| {
        arrive(word);
        gate.wait();
        await_word(word, 2)?;
        check_eq("the shared huge page in the child", shared.word(1), 77)
    })?;
    await_word(word, 1)?;
    gate.checkpoint()?;
    for area in [private, shared, empty] {
        let size = smaps_of(area.at(0))?.get("KernelPageSize").cloned();
        check_eq("the page size", size, Some(meminfo("Hugepagesize")?))?;
        check("the flag ht", vm_flags(area.at(0))?.contains(&"ht".to_owned()))?;
    }
    private.check_fill("the private huge page", 1)?;
    shared.check_fill("the shared huge page", 2)?;
    check_eq(
        "pages of the empty area",
        smaps_of(empty.at(0))?.get("Private_Hugetlb").cloned(),
        Some("0 kB".to_owned()),
    )?;
    shared.set(1, 77);
    arrive(word);
    wait_ok(child)
}
