//! Shared anonymous memory: the engine makes each segment and fills it; tasks map it through a descriptor.

use super::load::Images;
use crate::error::{Doing, Result};
use crate::kind::segment;
use crate::sys;
use crate::vma::status;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The segments of a tree, by the id that areas name.
pub struct Segments {
    files: HashMap<u64, Arc<OwnedFd>>,
}

impl Segments {
    /// The descriptor of a segment.
    pub fn file(&self, id: u64) -> Option<Arc<OwnedFd>> {
        self.files.get(&id).cloned()
    }

    /// Makes and fills all segments.
    pub fn make(images: &Images) -> Result<Segments> {
        let mut sizes: HashMap<u64, (u64, u32)> = HashMap::new();
        let areas = images.tasks.iter().filter_map(|t| t.live.as_ref()).flat_map(|l| &l.mm.vmas);
        for vma in areas.filter(|v| v.status & status::ANON_SHARED != 0) {
            let (size, flags) = sizes.entry(vma.shmid).or_default();
            *size = (*size).max(vma.pgoff.saturating_add(vma.end - vma.start));
            *flags = vma.flags;
        }
        let mut files = HashMap::new();
        for (id, (size, flags)) in sizes {
            files.insert(id, Arc::new(make(images, id, size, flags)?));
        }
        Ok(Segments { files })
    }
}

fn make(images: &Images, id: u64, size: u64, flags: u32) -> Result<OwnedFd> {
    let map = images.segments.get(&id);
    // What no area maps any more is still there for whoever maps it again.
    let last = map.and_then(|map| map.runs.last());
    let size = last.map_or(size, |run| size.max(run.vaddr + run.pages * sys::page_size()));
    let file = sys::map::shared_segment(size, flags as i32 & !libc::MAP_LOCKED & !libc::MAP_GROWSDOWN)
        .doing(|| format!("make a segment of shared memory of {size} bytes"))?;
    if let Some(map) = map {
        segment::fill(&images.dir, map, file.as_fd(), size, flags & libc::MAP_HUGETLB as u32 != 0)?;
    }
    Ok(file)
}
