//! Which pages of an address space have to be saved: what the kernel scans for us (PAGEMAP_SCAN), or, before Linux 6.7,
//! what the page map says of each page.

use crate::check::kernel;
use crate::error::{Doing, Result};
use crate::image::proto::VmaEntry;
use crate::proc::maps::Name;
use crate::proc::pagemap::PageEntry;
use crate::proc::smaps::Area;
use crate::proc::thp;
use crate::sys::pagemap::{Query, Region, category, scan};
use crate::sys::{self, Pid, probe};
use crate::vma::{self, status};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

/// Whether an area's own pages are in the images of the process.
pub fn has_private_pages(entry: &VmaEntry) -> bool {
    let without = status::VDSO
        | status::VVAR
        | status::VSYSCALL
        | status::FILE_SHARED
        | status::ANON_SHARED
        | status::AIO_RING
        | status::SYSV;
    entry.status & without == 0 && entry.flags & vma::MAP_DROPPABLE as u32 == 0
}

/// The pages of an address space that the images of its process say something about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Those of private areas with content of their own.
    pub runs: Vec<(u64, u64)>,
    /// Guards, in areas of any kind.
    pub guards: Vec<(u64, u64)>,
}

/// The pages that private areas hold of their own: present or swapped out, and neither of a file nor the zero page; and
/// all guards. `pagemap` is the task's page map.
pub fn find(pid: Pid, pagemap: &File, areas: &[Area], vmas: &[VmaEntry]) -> Result<Pages> {
    let kernel = kernel::get();
    let doing = || format!("find the pages of task {pid}");
    match kernel.pagemap_scan {
        true => scanned(pagemap, areas, vmas, kernel.scans_guards).doing(doing),
        false => read(pagemap, areas, vmas, &doing),
    }
}

/// By PAGEMAP_SCAN; guards are told from others where the kernel knows them (Linux 6.15).
fn scanned(pagemap: &File, areas: &[Area], vmas: &[VmaEntry], guards: bool) -> io::Result<Pages> {
    let user = |a: &&Area| a.mapping.kind() != Name::Vsyscall;
    let Some(first) = areas.iter().find(user) else { return Ok(Pages::default()) };
    let last = areas.iter().rev().find(user).unwrap_or(first);
    let (start, end) = (first.mapping.range.start, last.mapping.range.end);
    let query = Query {
        inverted: category::FILE | category::PFNZERO,
        all_of: category::FILE | category::PFNZERO,
        any_of: category::PRESENT | category::SWAPPED,
        report: if guards { category::GUARD } else { 0 },
    };
    let mut found: Vec<Region> = Vec::new();
    scan(pagemap.as_fd(), start, end, query, &mut found)?;
    let mut pages = Pages::default();
    let mut regions = found.iter().peekable();
    for entry in vmas {
        while regions.next_if(|r| r.end <= entry.start).is_some() {}
        let mut ahead = regions.clone();
        while let Some(region) = ahead.next_if(|r| r.start < entry.end) {
            let (start, end) = (region.start.max(entry.start), region.end.min(entry.end));
            if region.categories & category::GUARD != 0 {
                push_run(&mut pages.guards, start, end);
            } else if has_private_pages(entry) {
                push_run(&mut pages.runs, start, end);
            }
        }
    }
    Ok(pages)
}

/// By reading the page map: a word for each page of an area until all that it holds were seen. Kernels that need it have
/// no guards.
fn read(pagemap: &File, areas: &[Area], vmas: &[VmaEntry], doing: &dyn Fn() -> String) -> Result<Pages> {
    const PIECE: u64 = 32 << 10;
    let (page, size) = (sys::page_size(), PageEntry::SIZE as u64);
    let zero = zero_frames();
    let mut areas = areas.iter();
    let mut buffer = vec![0; (PIECE * size) as usize];
    let mut pages = Pages::default();
    for entry in vmas.iter().filter(|e| has_private_pages(e)) {
        let usage = areas.find(|a| a.mapping.range.start == entry.start).map(|a| a.usage);
        // Zero pages count as nothing there. Swapped pages may be shown that the kernel does not count.
        let mut left = usage.filter(|u| u.swap == 0 && u.hugetlb == 0).map_or(u64::MAX, |u| u.rss);
        let mut at = entry.start;
        while at < entry.end && left > 0 {
            crate::cancel::check()?;
            let count = ((entry.end - at) / page).min(PIECE);
            let bytes = &mut buffer[..(count * size) as usize];
            pagemap.read_exact_at(bytes, at / page * size).doing(doing)?;
            for word in bytes.as_chunks::<{ PageEntry::SIZE }>().0 {
                let entry = PageEntry::new(u64::from_ne_bytes(*word));
                let nothing = entry.frame().is_some_and(|frame| zero.iter().any(|range| range.contains(&frame)));
                let held = (entry.is_present() || entry.is_swapped()) && !nothing;
                left -= u64::from(held).min(left);
                if held && !entry.is_file() {
                    push_run(&mut pages.runs, at, at + page);
                }
                at += page;
            }
        }
    }
    Ok(pages)
}

/// The frames of the kernel's zero page and of the huge one: those of pages of ours which are only read. None where
/// frame numbers are hidden; then zero pages are saved like others.
fn zero_frames() -> Vec<Range<u64>> {
    let page = probe::page_size();
    let frame = |at: usize| {
        let mut word = [0; PageEntry::SIZE];
        let read = |pagemap: File| pagemap.read_exact_at(&mut word, (at / page * PageEntry::SIZE) as u64);
        probe::own_pagemap().and_then(read).ok()?;
        PageEntry::new(u64::from_ne_bytes(word)).frame()
    };
    let small = || {
        let area = probe::Area::anonymous(page, true).ok()?;
        area.read_at(0);
        frame(area.address()).map(|frame| frame..frame + 1)
    };
    let huge = || {
        let size = thp::size()? as usize;
        let mut area = probe::Area::anonymous(2 * size, true).ok()?;
        let at = area.address().next_multiple_of(size);
        area.want_huge_pages().ok()?;
        area.read_at(at - area.address());
        let (first, last) = (frame(at)?, frame(at + size - page)?);
        let count = (size / page) as u64;
        (last == first + count - 1).then(|| first..first + count)
    };
    [small(), huge()].into_iter().flatten().collect()
}

/// Adds a run, joined to the last where they touch.
pub fn push_run(runs: &mut Vec<(u64, u64)>, start: u64, end: u64) {
    match runs.last_mut() {
        Some(last) if last.1 == start => last.1 = end,
        _ => runs.push((start, end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::{ProcDir, smaps};

    /// Both ways find the same pages of this process: written ones, not those that were only read or never touched.
    #[test]
    fn the_page_map_tells_what_the_scan_tells() {
        if !kernel::get().pagemap_scan || zero_frames().is_empty() {
            eprintln!("skipped: no PAGEMAP_SCAN, or frame numbers are hidden");
            return;
        }
        let page = probe::page_size();
        let mut written = probe::Area::anonymous(64 * page, true).expect("memory");
        let only_read = probe::Area::anonymous(64 * page, true).expect("memory");
        written.touch();
        only_read.read_at(0);
        let areas = smaps::read(&ProcDir::current().expect("/proc"), &mut Vec::new()).expect("smaps");
        let vma = |area: &probe::Area| VmaEntry {
            start: area.address() as u64,
            end: (area.address() + 64 * page) as u64,
            status: status::REGULAR | status::ANON_PRIVATE,
            ..VmaEntry::default()
        };
        let mut vmas = [vma(&written), vma(&only_read)];
        vmas.sort_by_key(|v| v.start);
        let pagemap = probe::own_pagemap().expect("the page map");
        let by_scan = scanned(&pagemap, &areas, &vmas, false).expect("a scan");
        assert_eq!(read(&pagemap, &areas, &vmas, &String::new).expect("the page map's words"), by_scan);
        let start = written.address() as u64;
        assert_eq!(by_scan.runs, [(start, start + page as u64)]);
    }
}
