//! What userfault descriptors have to do with memory: registered areas, and their pages. There a page is not the same as
//! none, though both read as zeros: it raises no fault.

use crate::check::kernel;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{StasisPageRun, StasisUserfaultfdRange};
use crate::kind::userfaultfd::mode;
use crate::proc::smaps::{Area, VmFlags};
use crate::sys::Pid;
use crate::sys::pagemap::{Query, Region, category, scan};
use std::fs::File;
use std::os::fd::AsFd;

const HELD: u64 = category::PRESENT | category::SWAPPED;

/// The modes in which an area is registered.
fn modes(area: &Area) -> u32 {
    let flags =
        [(VmFlags::UFFD_MISSING, mode::MISSING), (VmFlags::UFFD_WP, mode::WP), (VmFlags::UFFD_MINOR, mode::MINOR)];
    flags.iter().filter(|(flag, _)| area.flags.contains(*flag)).fold(0, |modes, (_, mode)| modes | mode)
}

/// The areas of a process that are registered with a userfaultfd, and what is so of their pages.
pub fn registered(pid: Pid, pagemap: &File, areas: &[Area]) -> Result<Vec<StasisUserfaultfdRange>> {
    let mut ranges = Vec::new();
    for area in areas.iter().filter(|area| modes(area) != 0) {
        let (start, end, modes) = (area.mapping.range.start, area.mapping.range.end, modes(area));
        if !kernel::get().pagemap_scan {
            let object = format!("task {pid}: memory area {start:x}-{end:x}");
            return Err(Error::unsupported(object, "what is registered with a userfaultfd needs Linux 6.7"));
        }
        let find = |query, wanted| match modes & wanted {
            0 => Ok(Vec::new()),
            _ => runs(pid, pagemap, (start, end), query),
        };
        let protected = Query { inverted: category::WRITTEN, all_of: category::WRITTEN, any_of: HELD, report: 0 };
        let mapped = Query { inverted: 0, all_of: category::PRESENT, any_of: 0, report: 0 };
        let (protected, mapped) = (find(protected, mode::WP)?, find(mapped, mode::MINOR)?);
        let run = |region: &Region| StasisPageRun { start: region.start, end: region.end };
        ranges.push(StasisUserfaultfdRange {
            start,
            end,
            modes,
            protected: protected.iter().map(run).collect(),
            mapped: mapped.iter().map(run).collect(),
        });
    }
    Ok(ranges)
}

/// All private pages of a registered range, zero pages too.
pub fn pages(pid: Pid, pagemap: &File, range: &StasisUserfaultfdRange) -> Result<Vec<(u64, u64)>> {
    let report = if kernel::get().scans_guards { category::GUARD } else { 0 };
    let query = Query { inverted: category::FILE, all_of: category::FILE, any_of: HELD, report };
    let found = runs(pid, pagemap, (range.start, range.end), query)?;
    Ok(found.iter().filter(|region| region.categories & report == 0).map(|region| (region.start, region.end)).collect())
}

fn runs(pid: Pid, pagemap: &File, (start, end): (u64, u64), query: Query) -> Result<Vec<Region>> {
    let mut found = Vec::new();
    scan(pagemap.as_fd(), start, end, query, &mut found)
        .doing(|| format!("find the registered pages of task {pid} in {start:x}-{end:x}"))?;
    Ok(found)
}
