//! Which pages of relatives are the same: as the dump found out by page frame numbers or, in images that do not say it,
//! by comparing what parent and child have at the same address.

use super::load::Images;
use super::memory;
use super::moves::{Move, Noted};
use super::spans::{Span, Spans};
use crate::error::{Doing, Error, Result};
use crate::image::kinds;
use crate::image::pagemap::Source;
use crate::image::proto::{StasisSharingEntry, VmaEntry};
use crate::parallel;
use crate::sys;
use crate::vma::{self, status};
use std::collections::HashMap;
use std::os::unix::fs::FileExt;

/// A private area whose pages relatives can share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// The file and what to add to an address for the offset in it; none for anonymous memory.
    pub file: Option<(u32, u64)>,
    /// MAP_* bits.
    pub flags: i32,
    /// PROT_* bits.
    pub prot: u32,
    /// It is not writable, but was.
    pub accounted: bool,
    /// It is to hold no huge pages (MADV_NOHUGEPAGE).
    pub small: bool,
}

impl Area {
    /// `None` where pages cannot be shared: shared memory, the kernel's own areas, huge pages, droppable memory.
    pub fn of(vma: &VmaEntry) -> Option<Area> {
        let without = status::VDSO | status::VVAR | status::VSYSCALL | status::FILE_SHARED | status::ANON_SHARED;
        let odd = status::SYSV | status::SOCKET | status::AIO_RING | status::SHADOW_STACK;
        let flags = memory::map_flags(vma);
        let private = flags & libc::MAP_PRIVATE != 0 && flags & (libc::MAP_HUGETLB | vma::MAP_DROPPABLE) == 0;
        let file = match vma.status & (status::FILE_PRIVATE | status::ANON_PRIVATE) {
            status::FILE_PRIVATE => Some((vma.shmid as u32, vma.pgoff.wrapping_sub(vma.start))),
            status::ANON_PRIVATE => None,
            _ => return None,
        };
        let accounted = vma.status & status::ACCOUNTED != 0;
        let small = memory::small_pages(vma);
        (vma.status & (without | odd) == 0 && private).then_some(Area { file, flags, prot: vma.prot, accounted, small })
    }

    /// The same elsewhere.
    pub fn moved(&self, by: u64) -> Area {
        Area { file: self.file.map(|(id, shift)| (id, shift.wrapping_sub(by))), ..*self }
    }

    /// Whether pages of the one can be pages of the other: they differ in protection alone.
    pub fn fits(&self, other: &Area) -> bool {
        self.file == other.file && self.flags == other.flags && self.small == other.small
    }
}

/// What is known of the private memory of each process; processes go by their place in the images, and all addresses are
/// those at their birth.
#[derive(Default)]
pub struct Known {
    /// Parents.
    pub parents: Vec<Option<usize>>,
    /// Areas whose pages can be shared.
    pub areas: Vec<Spans<Area>>,
    /// Their saved pages: what to add to an address for the offset in the pages file.
    pub saved: Vec<Spans<u64>>,
    /// Those that are shared: the first process in the images that has the page.
    pub classes: Vec<Spans<u32>>,
    /// What each process moved since.
    pub moves: Vec<Vec<Move>>,
}

/// Ranges of a process that are the same in an earlier one.
pub type Same = Vec<Span<u32>>;

impl Known {
    /// Finds out; a single process has nothing to share.
    pub fn find(images: &Images) -> Result<Known> {
        let index: HashMap<u32, usize> = images.tasks.iter().enumerate().map(|(i, t)| (t.entry.pid, i)).collect();
        let count = images.tasks.len();
        let mut known = Known {
            parents: images.tasks.iter().map(|t| index.get(&t.entry.ppid).copied()).collect(),
            areas: vec![Spans::default(); count],
            saved: vec![Spans::default(); count],
            classes: vec![Spans::default(); count],
            moves: vec![Vec::new(); count],
        };
        if images.tasks.iter().filter(|t| t.live.is_some()).count() < 2 {
            return Ok(known);
        }
        for (i, task) in images.tasks.iter().enumerate() {
            let Some(live) = &task.live else { continue };
            for vma in &live.mm.vmas {
                if let Some(area) = Area::of(vma) {
                    known.areas[i].push(vma.start, vma.end, area);
                }
            }
            for run in &live.pages.runs {
                let end = run.vaddr + run.pages * sys::page_size();
                let Source::Saved { offset } = run.source else { continue };
                for area in known.areas[i].over(run.vaddr, end) {
                    known.saved[i].push(area.start, area.end, offset.wrapping_sub(run.vaddr));
                }
            }
        }
        let same = match images.dir.open_file(&kinds::STASIS_SHARING.single().to_string())? {
            Some(_) => known.at_birth(images, as_noted(images.dir.read_all(kinds::STASIS_SHARING.single())?, &index)?),
            None => known.by_contents(images)?,
        };
        known.resolve(same);
        Ok(known)
    }

    /// Traces every shared page back to the first process that has it.
    fn resolve(&mut self, same: Vec<Same>) {
        let mut first: Vec<Vec<Span<u32>>> = vec![Vec::new(); same.len()];
        for (i, same) in same.into_iter().enumerate() {
            let mut own = Vec::new();
            for Span { start, end, value: j } in same {
                for mine in self.saved[i].over(start, end) {
                    for both in self.saved[j as usize].over(mine.start, mine.end) {
                        let (start, end) = (both.start, both.end);
                        own.extend(self.classes[j as usize].over(start, end));
                        for (start, end) in self.classes[j as usize].gaps(start, end) {
                            own.push(Span { start, end, value: j });
                            first[j as usize].push(Span { start, end, value: j });
                        }
                    }
                }
            }
            self.classes[i] = Spans::from_unsorted(own);
        }
        for (classes, first) in self.classes.iter_mut().zip(first) {
            if !first.is_empty() {
                *classes = Spans::from_unsorted(classes.iter().chain(first).collect());
            }
        }
    }

    /// Compares every process with its parent.
    fn by_contents(&self, images: &Images) -> Result<Vec<Same>> {
        let tasks: Vec<usize> = (0..images.tasks.len()).collect();
        let bytes = self.saved.iter().flat_map(Spans::iter).map(|span| span.end - span.start).sum();
        parallel::map_bytes(&tasks, bytes, |&i| match self.parents[i] {
            Some(parent) => self.compare(images, i, parent),
            None => Ok(Vec::new()),
        })
    }

    fn compare(&self, images: &Images, i: usize, parent: usize) -> Result<Same> {
        let (Some(child), Some(elder)) = (&images.tasks[i].live, &images.tasks[parent].live) else {
            return Ok(Vec::new());
        };
        if self.saved[i].is_empty() || self.saved[parent].is_empty() {
            return Ok(Vec::new());
        }
        let pages = |id| images.dir.raw(kinds::PAGES.of(id)).map(|(file, _)| file);
        let (ours, theirs) = (pages(child.pages.pages_id)?, pages(elder.pages.pages_id)?);
        let mut same = Spans::default();
        let mut buffers = (vec![0; PIECE as usize], vec![0; PIECE as usize]);
        for mine in self.saved[i].iter() {
            for both in self.saved[parent].over(mine.start, mine.end) {
                for (start, end) in self.fitting(i, parent, both.start, both.end) {
                    let mut at = start;
                    while at < end {
                        let len = (end - at).min(PIECE);
                        let (a, b) = (&mut buffers.0[..len as usize], &mut buffers.1[..len as usize]);
                        let doing = || "read saved pages";
                        ours.read_exact_at(a, at.wrapping_add(mine.value)).doing(doing)?;
                        theirs.read_exact_at(b, at.wrapping_add(both.value)).doing(doing)?;
                        push_equal(&mut same, at, a, b, parent as u32);
                        at += len;
                    }
                }
            }
        }
        Ok(same.iter().collect())
    }

    /// The parts of a range where areas of two processes fit.
    fn fitting(&self, i: usize, j: usize, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mine = self.areas[i].over(start, end);
        let both = mine.flat_map(|a| self.areas[j].over(a.start, a.end).filter(move |b| b.value.fits(&a.value)));
        both.map(|s| (s.start, s.end)).collect()
    }
}

/// What is compared at once.
const PIECE: u64 = 512 << 10;

/// Adds the pages from `at` that are the same in two buffers.
fn push_equal(same: &mut Spans<u32>, at: u64, a: &[u8], b: &[u8], value: u32) {
    let page = sys::page_size();
    for (n, (a, b)) in a.chunks(page as usize).zip(b.chunks(page as usize)).enumerate() {
        if a == b {
            let start = at + n as u64 * page;
            same.push(start, start + page, value);
        }
    }
}

/// What the dump noted, checked.
fn as_noted(entries: Vec<StasisSharingEntry>, index: &HashMap<u32, usize>) -> Result<Vec<Noted>> {
    let mut same = vec![Vec::new(); index.len()];
    let page = sys::page_size();
    for entry in entries {
        let (Some(&i), Some(&j)) = (index.get(&entry.pid), index.get(&entry.ancestor)) else {
            let what = format!("{} and {} are not both processes of the images", entry.pid, entry.ancestor);
            return Err(Error::state(format!("the record of shared pages is wrong: {what}")));
        };
        if j >= i {
            let what = format!("process {} does not come before process {}", entry.ancestor, entry.pid);
            return Err(Error::state(format!("the record of shared pages is wrong: {what}")));
        }
        for range in &entry.ranges {
            let there = range.ancestor_vaddr.unwrap_or(range.vaddr);
            let whole = range.vaddr % page == 0 && there % page == 0;
            let len = range.nr_pages.checked_mul(page).filter(|_| whole);
            let ends = len.and_then(|len| range.vaddr.checked_add(len).zip(there.checked_add(len)));
            let Some((end, _)) = ends else {
                let what = format!("{} pages at {:#x} are not possible", range.nr_pages, range.vaddr);
                return Err(Error::state(format!("the record of shared pages is wrong: {what}")));
            };
            let value = (j as u32, there.wrapping_sub(range.vaddr));
            same[i].push(Span { start: range.vaddr, end, value });
        }
    }
    Ok(same.into_iter().map(Spans::from_unsorted).collect())
}
