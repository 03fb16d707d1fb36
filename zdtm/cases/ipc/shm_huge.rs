//! A segment of huge pages keeps its data and its kind.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc, kernel:hugetlb, cap:sys_admin]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_ipc::{KEY, about_segment, attach, segment};
use crate::tools_maps::{allow_huge_pages, kib, meminfo, vm_flags};
use crate::tools_memory::page;

pub fn run(gate: &mut Gate) -> Verdict {
    allow_huge_pages()?;
    let huge = kib(&meminfo("Hugepagesize")?)? as usize * 1024 / page();
    let id = segment(KEY, huge, 0o600 | libc::SHM_HUGETLB)?;
    let area = attach(id, huge, 0)?;
    area.fill(4);
    let before = about_segment(id)?;
    gate.checkpoint()?;
    area.check_fill("the segment", 4)?;
    check("the flag ht", vm_flags(area.at(0))?.contains(&"ht".to_owned()))?;
    check_eq("what is known of it", about_segment(id)?, before)
}
