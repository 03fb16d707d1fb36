//! Mappings of io_uring instances. The kernel lets nobody choose their address, so nothing else is left for it to choose:
//! for the moment of each mapping all other free memory is taken.

use super::crew::{Program, run_all};
use super::load::{Images, LiveImage};
use super::memory;
use super::needs::{self, Needs};
use super::tree::Tree;
use crate::error::{Error, Result};
use crate::image::proto::VmaEntry;
use crate::proc::{ProcDir, maps};
use crate::sys;
use crate::vma::status;

/// Maps the rings of all tasks, when all other areas are there.
pub fn map(images: &Images, tree: &Tree, needs: &Needs) -> Result<()> {
    let mut work = Vec::new();
    for (i, task) in images.tasks.iter().enumerate() {
        let Some(live) = &task.live else { continue };
        let rings = rings(live);
        if rings.is_empty() {
            continue;
        }
        let member = &tree.leaders[i];
        let mut program = Program::new(&tree.layout);
        let there = maps::read(&ProcDir::open(member.tid)?, &mut Vec::new())?;
        let gaps = gaps(there.iter().map(|area| (area.range.start, area.range.end)), lowest(), sys::task_size());
        gaps.iter().for_each(|gap| take(&mut program, *gap));
        for vma in &rings {
            let (len, number) = (vma.end - vma.start, needs::of_area(vma).and_then(|need| needs.numbers.get(&need)));
            let number = *number.ok_or_else(|| Error::state("the images lack the ring of an area"))?;
            let shared = libc::MAP_SHARED as u64;
            program.call(libc::SYS_munmap, &[vma.start, len]);
            let args = [0, len, u64::from(vma.prot), shared, number as u64, vma.pgoff];
            program.room(1, 0).call_for(libc::SYS_mmap, &args, vma.start as i64);
        }
        for gap in &gaps {
            for (start, end) in without(*gap, &rings) {
                program.call(libc::SYS_munmap, &[start, end - start]);
            }
        }
        rings.iter().for_each(|vma| memory::advise(&mut program, vma, false));
        work.push((member, program));
    }
    run_all(tree.layout.stub(), &mut work).map(drop)
}

/// The areas of rings.
fn rings(live: &LiveImage) -> Vec<&VmaEntry> {
    live.mm.vmas.iter().filter(|vma| vma.status & status::IO_URING != 0).collect()
}

/// The lowest address at which the kernel maps anything.
fn lowest() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/vm/mmap_min_addr").unwrap_or_default();
    let lowest = text.trim().parse().unwrap_or(0).max(sys::page_size());
    lowest.next_multiple_of(sys::page_size())
}

/// What is free between two addresses. `areas` are in ascending order.
fn gaps(areas: impl Iterator<Item = (u64, u64)>, lowest: u64, limit: u64) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut at = lowest;
    for (start, end) in areas.chain([(limit, limit)]) {
        let start = start.min(limit);
        if at < start {
            gaps.push((at, start));
        }
        at = at.max(end);
    }
    gaps
}

/// What of a gap is not for a ring.
fn without((start, end): (u64, u64), rings: &[&VmaEntry]) -> Vec<(u64, u64)> {
    let inside = rings.iter().filter(|ring| ring.start >= start && ring.end <= end);
    gaps(inside.map(|ring| (ring.start, ring.end)), start, end)
}

fn take(program: &mut Program, (start, end): (u64, u64)) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    let args = [start, end - start, libc::PROT_NONE as u64, flags as u64, u64::MAX, 0];
    program.room(1, 0).call_for(libc::SYS_mmap, &args, start as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_free_is_found() {
        let areas = [(0x1000, 0x2000), (0x5000, 0x6000), (0x6000, 0x9000), (0xffff_0000, 0xffff_8000)];
        assert_eq!(gaps(areas.into_iter(), 0x3000, 0xa000), [(0x3000, 0x5000), (0x9000, 0xa000)]);
        assert_eq!(gaps(std::iter::empty(), 0x3000, 0x4000), [(0x3000, 0x4000)]);
        let ring = VmaEntry { start: 0x4000, end: 0x5000, ..VmaEntry::default() };
        assert_eq!(without((0x3000, 0x5000), &[&ring]), [(0x3000, 0x4000)]);
        assert_eq!(without((0x7000, 0x8000), &[&ring]), [(0x7000, 0x8000)]);
        assert_eq!(without((0x3000, 0x6000), &[&ring]), [(0x3000, 0x4000), (0x5000, 0x6000)]);
    }
}
