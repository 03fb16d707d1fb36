//! The namespaces that a tree had to itself: the root is born into new ones, and what was in them is made again before any
//! memory is mapped.

use super::crew::Program;
use super::load::{Images, LiveImage};
use super::seed::Layout;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{IpcShmEntry, StasisAdjustment, VmaEntry};
use crate::kind::segment;
use crate::kind::{BatchCall, RestoreContext};
use crate::ns::{self, Owned, undo};
use crate::sys::{self, ipc::Attachment};
use stasis_arch::native;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The tree's own namespaces.
#[derive(Default)]
pub struct Made {
    owned: Owned,
    /// Removed segments, which go with their last attachment.
    removed: Vec<Attachment>,
}

/// Fills the new namespaces, which the root of the tree is in.
pub fn build(images: &Images, cx: &mut RestoreContext<'_>) -> Result<Made> {
    let mut made = Made::default();
    let owned = &mut made.owned;
    let root = images.tasks[0].pid();
    if let Some(names) = &images.uts {
        owned.add(root, "uts")?;
        owned.uts.as_ref().map_or(Ok(()), |namespace| ns::uts::write(namespace, names))?;
    }
    if let Some(ipc) = &images.ipc {
        owned.add(root, "ipc")?;
        let fill = |entry: &IpcShmEntry, bytes: &[u8], memory: OwnedFd| fill(images, entry, bytes, memory);
        if let Some(namespace) = &owned.ipc {
            made.removed = ns::inside(namespace, || ipc.make(fill))?;
            cx.queues = ns::inside(namespace, || ns::mqueue::make(&images.queues, &images.files))?;
        }
    }
    Ok(made)
}

/// Does what has to wait until everything is attached: our own attachments end, and the limits are set.
pub fn finish(images: &Images, made: Made) -> Result<()> {
    drop(made.removed);
    match (&images.ipc, &made.owned.ipc) {
        (Some(ipc), Some(namespace)) => ns::inside(namespace, || ipc.finish()),
        _ => Ok(()),
    }
}

/// Writes what a segment holds into its memory.
fn fill(images: &Images, entry: &IpcShmEntry, bytes: &[u8], memory: OwnedFd) -> Result<()> {
    let (id, page) = (u64::from(entry.desc.id), sys::page_size());
    if entry.in_pagemaps == Some(true) {
        let size = entry.size.checked_next_multiple_of(page).unwrap_or(u64::MAX);
        // Written to, a file with part of a page at its end would grow.
        let mapped = entry.hugetlb_flag.is_some() || size != entry.size;
        let Some(map) = images.segments.get(&id) else { return Ok(()) };
        return segment::fill(&images.dir, map, memory.as_fd(), size, mapped);
    }
    let bytes = &bytes[..bytes.len().min(entry.size as usize)];
    File::from(memory).write_all_at(bytes, 0).doing(|| format!("fill segment {id} of shared memory"))
}

/// Attaches a segment of System V shared memory where an area of it is. An area that is not all of it is moved out of an
/// attachment that is made elsewhere.
pub fn attach(program: &mut Program, images: &Images, layout: &Layout, live: &LiveImage, vma: &VmaEntry) -> Result<()> {
    let segments = || images.ipc.iter().flat_map(|ipc| &ipc.segments);
    let Some((entry, _)) = segments().find(|(entry, _)| u64::from(entry.desc.id) == vma.shmid) else {
        return Err(Error::state(format!(
            "the area {:x}-{:x} is of a segment that the images lack",
            vma.start, vma.end
        )));
    };
    let (id, len) = (u64::from(entry.desc.id), attached_len(entry));
    let (start, part) = (vma.start, vma.end - vma.start);
    let end = vma.pgoff.checked_add(part).filter(|end| *end <= len);
    let end = end.ok_or_else(|| Error::state(format!("the area at {start:x} is larger than its segment {id}")))?;
    let writable = match vma.fdflags {
        Some(flags) => flags & libc::O_ACCMODE as u32 == libc::O_RDWR as u32,
        None => vma.prot & libc::PROT_WRITE as u32 != 0,
    };
    let (flags, given) = match writable {
        true => (0, libc::PROT_READ | libc::PROT_WRITE),
        false => (libc::SHM_RDONLY as u64, libc::PROT_READ),
    };
    let whole = part == len;
    let at = if whole { start } else { layout.hole_beside(live, len)? };
    program.room(1, 0).call_for(native::NR_SHMAT, &[id, at, flags], at as i64);
    if !whole {
        let moved = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
        program.room(1, 0).call_for(libc::SYS_mremap, &[at + vma.pgoff, part, part, moved, start], start as i64);
        let rest = [(at, vma.pgoff), (at + end, len - end)];
        rest.iter().filter(|(_, len)| *len > 0).for_each(|(at, len)| program.call(libc::SYS_munmap, &[*at, *len]));
    }
    if vma.prot != given as u32 {
        program.call(libc::SYS_mprotect, &[start, part, vma.prot.into()]);
    }
    Ok(())
}

/// The length of an attachment of a segment.
fn attached_len(entry: &IpcShmEntry) -> u64 {
    let size_of_huge = |flags: u32| 1u64 << (flags >> libc::MAP_HUGE_SHIFT & libc::MAP_HUGE_MASK as u32);
    let page = entry.hugetlb_flag.map_or(sys::page_size(), size_of_huge).max(sys::page_size());
    entry.size.checked_next_multiple_of(page).unwrap_or(u64::MAX)
}

/// The calls by which a process takes the adjustments of semaphores that it had.
pub fn adjustments(images: &Images, task: usize) -> Result<Vec<BatchCall>> {
    let of_task = images.tasks[task].threads.first().into_iter().flat_map(|thread| &thread.extra.adjustments);
    let call = |adjustment: &StasisAdjustment| {
        let value = images.ipc.as_ref().and_then(|ipc| ipc.value(adjustment.set, adjustment.number));
        let value = value.ok_or_else(|| {
            Error::state(format!("the images lack semaphore {} of set {}", adjustment.number, adjustment.set))
        })?;
        undo::adjust(adjustment, value)
    };
    of_task.map(call).collect()
}
