//! Shared anonymous memory: the engine makes each segment and fills it; tasks map it through a descriptor.

use super::load::Images;
use crate::error::{Doing, Error, Result};
use crate::image::kinds;
use crate::image::pagemap::Source;
use crate::image::proto::VmaEntry;
use crate::sys;
use crate::vma::status;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
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
        for vma in areas.filter(|v| v.status & (status::ANON_SHARED | status::MEMFD) != 0) {
            let (size, flags) = sizes.entry(vma.shmid).or_default();
            *size = (*size).max(vma.pgoff.saturating_add(vma.end - vma.start));
            *flags = vma.flags;
            if vma.status & status::MEMFD != 0 {
                *size = (*size).max(memfd_size(images, vma)?);
            }
        }
        let mut files = HashMap::new();
        for (id, (size, flags)) in sizes {
            // What no area maps any more is still there for whoever maps it again.
            let last = images.segments.get(&id).and_then(|map| map.runs.last());
            let size = last.map_or(size, |run| size.max(run.vaddr + run.pages * sys::page_size()));
            files.insert(id, Arc::new(make(images, id, size, flags)?));
        }
        Ok(Segments { files })
    }
}

/// CRIU writes shared anonymous memory as a memfd called /dev/zero: its size. A real memfd is not supported yet.
fn memfd_size(images: &Images, vma: &VmaEntry) -> Result<u64> {
    let inode = memfd_inode(images, vma.shmid)?;
    if inode.name != b"/dev/zero" {
        return Err(Error::state(format!("the area at {:#x} maps a memfd, which is not supported yet", vma.start)));
    }
    Ok(inode.size)
}

fn memfd_inode(images: &Images, file: u64) -> Result<&crate::image::proto::MemfdInodeEntry> {
    let entry = images.files.get(&(file as u32)).and_then(|f| f.memfd.as_ref());
    entry
        .and_then(|memfd| images.memfds.get(&memfd.inode_id))
        .ok_or_else(|| Error::state(format!("the images lack the memory file {file}")))
}

fn make(images: &Images, id: u64, size: u64, flags: u32) -> Result<OwnedFd> {
    let file = sys::map::shared_segment(size, flags as i32 & !libc::MAP_LOCKED & !libc::MAP_GROWSDOWN)
        .doing(|| format!("make a segment of shared memory of {size} bytes"))?;
    // A memfd's area names the file, its page map is under the id of its memory.
    let map_id = memfd_inode(images, id).map_or(id, |inode| u64::from(inode.shmid));
    let copy = file.as_fd().try_clone_to_owned().doing(|| "copy a descriptor")?;
    fill(images, map_id, copy, size, flags & libc::MAP_HUGETLB as u32 != 0)?;
    Ok(file)
}

/// Writes the saved pages of a segment of `size` bytes into its memory, through a mapping where it takes no writes; `id` is
/// that of its page map.
pub fn fill(images: &Images, id: u64, memory: OwnedFd, size: u64, mapped: bool) -> Result<()> {
    let Some(map) = images.segments.get(&id) else { return Ok(()) };
    let (pages, _) = match map.saved {
        0 => return Ok(()),
        _ => images.dir.raw(kinds::PAGES.of(map.pages_id))?,
    };
    let target = File::from(memory);
    let mut buffer = vec![0; 1 << 20];
    for run in &map.runs {
        let Source::Saved { offset } = run.source else {
            return Err(Error::state("the pages are in a parent directory; such images are not supported yet"));
        };
        let len = run.pages * sys::page_size();
        if run.vaddr + len > size.next_multiple_of(sys::page_size()) {
            return Err(Error::state(format!("the images hold more of segment {id} than its size")));
        }
        let mut done = 0;
        while done < len {
            let part = (len - done).min(buffer.len() as u64) as usize;
            pages.read_exact_at(&mut buffer[..part], offset + done).doing(|| "read saved pages")?;
            let at = run.vaddr + done;
            match mapped {
                // hugetlbfs takes no writes
                true => sys::map::copy_into(target.as_fd(), size, at, &buffer[..part]).doing(|| "fill huge pages")?,
                false => target.write_all_at(&buffer[..part], at).doing(|| "fill shared memory")?,
            }
            done += part as u64;
        }
    }
    Ok(())
}
