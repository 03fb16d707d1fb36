//! Pages that relatives share since a fork, found by page frame number, wherever they were moved since (mremap). Pages
//! that the kernel merged because they are equal (KSM) have one frame too: in areas that it may merge those at the same
//! address are noted alone.

use super::OfProcess;
use super::freeze::Process;
use crate::error::{Doing, Result};
use crate::image::proto::{StasisPageRange, StasisSharingEntry};
use crate::image::{NewImageDir, kinds};
use crate::proc::pagemap::PageEntry;
use crate::sys;
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// What was found: none where nothing can be said, which is not the same as nothing shared.
pub struct Sharing(Option<Vec<StasisSharingEntry>>);

/// Frames of a process that others may map too: address and what identifies the frame.
type Frames = Vec<(u64, u64)>;

/// Finds the pages that processes of the tree share; must run before the pages are read, which may bring swapped ones
/// back.
pub fn find(tree: &[Process], processes: &[OfProcess]) -> Result<Sharing> {
    let live: Vec<(&Process, &OfProcess)> = tree.iter().zip(processes).filter(|(_, p)| p.mm.is_some()).collect();
    if live.len() < 2 {
        return Ok(Sharing(None));
    }
    let frames: Vec<Option<Frames>> =
        live.par_iter().map(|(process, of)| frames(process, of)).collect::<Result<_>>()?;
    // The kernel hides page frame numbers from those without CAP_SYS_ADMIN.
    let Some(frames) = frames.into_iter().collect::<Option<Vec<Frames>>>() else { return Ok(Sharing(None)) };
    let mut first: HashMap<u64, (u32, u64), BuildHasherDefault<FrameHasher>> = HashMap::default();
    let mut entries = Vec::new();
    for (n, frames) in frames.iter().enumerate() {
        let mut found: HashMap<u32, Vec<StasisPageRange>> = HashMap::new();
        let merged = mergeable(live[n].1);
        first.reserve(if n == 0 { frames.len() } else { 0 });
        for &(at, frame) in frames {
            match first.entry(frame) {
                std::collections::hash_map::Entry::Vacant(place) => drop(place.insert((n as u32, at))),
                std::collections::hash_map::Entry::Occupied(place) => {
                    let &(task, address) = place.get();
                    if task != n as u32 && (address == at || !merged.iter().any(|area| area.contains(&at))) {
                        add(found.entry(task).or_default(), at, address);
                    }
                }
            }
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by_key(|(task, _)| *task);
        let number = |n: usize| live[n].0.pid.as_raw() as u32;
        entries.extend(found.into_iter().map(|(task, ranges)| StasisSharingEntry {
            pid: number(n),
            ancestor: number(task as usize),
            ranges,
        }));
    }
    Ok(Sharing(Some(entries)))
}

impl Sharing {
    /// Writes what was found.
    pub fn write(&self, out: &NewImageDir) -> Result<()> {
        match &self.0 {
            Some(entries) => Ok(out.write_all(kinds::STASIS_SHARING.single(), entries)?),
            None => Ok(()),
        }
    }
}

/// Areas whose pages may be merged with equal ones.
fn mergeable(process: &OfProcess) -> Vec<Range<u64>> {
    let areas = process.mm.iter().flat_map(|mm| &mm.vmas);
    let mergeable = areas.filter(|vma| vma.madv.unwrap_or(0) & 1 << libc::MADV_MERGEABLE != 0);
    mergeable.map(|vma| vma.start..vma.end).collect()
}

/// Adds a page that the other task has at `there`, joined to the last range where they touch in both.
fn add(ranges: &mut Vec<StasisPageRange>, at: u64, there: u64) {
    let page = sys::page_size();
    let elsewhere = (there != at).then_some(there);
    match ranges.last_mut() {
        Some(last)
            if last.vaddr + last.nr_pages * page == at
                && last.ancestor_vaddr.map(|first| first + last.nr_pages * page) == elsewhere =>
        {
            last.nr_pages += 1;
        }
        _ => ranges.push(StasisPageRange { vaddr: at, nr_pages: 1, ancestor_vaddr: elsewhere }),
    }
}

/// The frames of a process' saved pages that are not its alone. `None` when the kernel does not tell.
fn frames(process: &Process, of: &OfProcess) -> Result<Option<Frames>> {
    const PIECE: u64 = 32 << 10;
    let pid = process.speaker();
    let doing = || format!("read the page map of task {pid}");
    let Some(file) = &of.pagemap else { return Ok(None) };
    let (page, size) = (sys::page_size(), PageEntry::SIZE as u64);
    let mut buffer = vec![0; (PIECE * size) as usize];
    let mut frames = Frames::new();
    let vdso = of.vdso.as_ref().map(|(start, _)| *start);
    for &(start, end) in of.runs.iter().filter(|run| Some(run.0) != vdso) {
        let mut at = start;
        while at < end {
            let pages = ((end - at) / page).min(PIECE);
            let bytes = &mut buffer[..(pages * size) as usize];
            file.read_exact_at(bytes, at / page * size).doing(doing)?;
            let words = bytes.as_chunks::<{ PageEntry::SIZE }>().0.iter();
            for (n, entry) in words.map(|word| PageEntry::new(u64::from_ne_bytes(*word))).enumerate() {
                if entry.is_exclusive() || entry.is_file() {
                    continue;
                }
                match identity(entry) {
                    Some(frame) => frames.push((at + n as u64 * page, frame)),
                    None if entry.is_present() => return Ok(None),
                    None => {}
                }
            }
            at += pages * page;
        }
    }
    Ok(Some(frames))
}

/// What identifies a page: its frame, or its place in swap.
fn identity(entry: PageEntry) -> Option<u64> {
    const SWAP: u64 = 1 << 62;
    let swap = |(area, place): (u32, u64)| SWAP | place << 5 | u64::from(area);
    entry.frame().or_else(|| entry.swap().map(swap))
}

/// Frame numbers need no defence against collisions: one multiplication spreads them.
#[derive(Default)]
struct FrameHasher(u64);

impl Hasher for FrameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}
