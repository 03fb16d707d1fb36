//! Which pages of an address space have to be saved: what the kernel scans for us (PAGEMAP_SCAN), or, before Linux 6.7,
//! what the page map says of each page.

use crate::check::kernel;
use crate::error::{Doing, Result};
use crate::image::proto::VmaEntry;
use crate::proc::maps::Name;
use crate::proc::pagemap::PageEntry;
use crate::proc::smaps::Area;
use crate::sys::pagemap::{Query, Region, category, scan};
use crate::sys::{self, Pid, probe};
use crate::vma::{self, status};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

/// Whether an area's own pages are in the images of the process.
fn has_private_pages(entry: &VmaEntry) -> bool {
    let without = status::VDSO | status::VVAR | status::VSYSCALL | status::FILE_SHARED | status::ANON_SHARED;
    entry.status & without == 0 && entry.flags & vma::MAP_DROPPABLE as u32 == 0
}

/// The pages of private areas.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Those with content of their own.
    pub runs: Vec<(u64, u64)>,
    /// Guards.
    pub guards: Vec<(u64, u64)>,
}

/// The pages that private areas hold of their own: present or swapped out, and neither of a file nor the zero page.
/// `pagemap` is the task's page map.
pub fn private(pid: Pid, pagemap: &File, areas: &[Area], vmas: &[VmaEntry]) -> Result<Pages> {
    let kernel = kernel::get();
    let pages = match kernel.pagemap_scan {
        true => scanned(pagemap, areas, vmas, kernel.scans_guards),
        false => read(pagemap, vmas),
    };
    pages.doing(|| format!("find the pages of task {pid}"))
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
    for entry in vmas.iter().filter(|e| has_private_pages(e)) {
        while regions.next_if(|r| r.end <= entry.start).is_some() {}
        let mut ahead = regions.clone();
        while let Some(region) = ahead.next_if(|r| r.start < entry.end) {
            let guard = region.categories & category::GUARD != 0;
            let runs = if guard { &mut pages.guards } else { &mut pages.runs };
            push_run(runs, region.start.max(entry.start), region.end.min(entry.end));
        }
    }
    Ok(pages)
}

/// By reading the page map: a word for each page of each area, also of those that hold nothing.
fn read(pagemap: &File, vmas: &[VmaEntry]) -> io::Result<Pages> {
    const PIECE: u64 = 32 << 10;
    let (page, size) = (sys::page_size(), PageEntry::SIZE as u64);
    let zero = zero_frame();
    let mut buffer = vec![0; (PIECE * size) as usize];
    let mut pages = Pages::default();
    for entry in vmas.iter().filter(|e| has_private_pages(e)) {
        let mut at = entry.start;
        while at < entry.end {
            let count = ((entry.end - at) / page).min(PIECE);
            let bytes = &mut buffer[..(count * size) as usize];
            pagemap.read_exact_at(bytes, at / page * size)?;
            for word in bytes.as_chunks::<{ PageEntry::SIZE }>().0 {
                let entry = PageEntry::new(u64::from_ne_bytes(*word));
                let held = (entry.is_present() || entry.is_swapped()) && !entry.is_file();
                if held && !(zero.is_some() && entry.frame() == zero) {
                    let runs = if entry.is_guard() { &mut pages.guards } else { &mut pages.runs };
                    push_run(runs, at, at + page);
                }
                at += page;
            }
        }
    }
    Ok(pages)
}

/// The frame of the kernel's zero page: that of an untouched page of ours which is only read. `None` where frame
/// numbers are hidden; then zero pages are saved like others.
fn zero_frame() -> Option<u64> {
    let area = probe::Area::anonymous(probe::page_size(), true).ok()?;
    area.first_byte();
    let mut word = [0; PageEntry::SIZE];
    let at = area.address() / probe::page_size() * PageEntry::SIZE;
    probe::own_pagemap().and_then(|pagemap| pagemap.read_exact_at(&mut word, at as u64)).ok()?;
    PageEntry::new(u64::from_ne_bytes(word)).frame()
}

/// Adds a run, joined to the last where they touch.
fn push_run(runs: &mut Vec<(u64, u64)>, start: u64, end: u64) {
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
        if !kernel::get().pagemap_scan || zero_frame().is_none() {
            eprintln!("skipped: no PAGEMAP_SCAN, or frame numbers are hidden");
            return;
        }
        let page = probe::page_size();
        let mut written = probe::Area::anonymous(64 * page, true).expect("memory");
        let only_read = probe::Area::anonymous(64 * page, true).expect("memory");
        written.touch();
        only_read.first_byte();
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
        assert_eq!(read(&pagemap, &vmas).expect("the page map's words"), by_scan);
        let start = written.address() as u64;
        assert_eq!(by_scan.runs, [(start, start + page as u64)]);
    }
}
