//! The contents of shared memory in the images: segments without a file, and memory files.

use crate::error::{Doing, Error, Result};
use crate::image::pagemap::Source;
use crate::image::{ImageDir, PageMap, kinds};
use crate::sys;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

/// Reads the page map of a segment; CRIU writes none for one without data.
pub fn map(images: &ImageDir, id: u64) -> Result<Option<PageMap>> {
    Ok(PageMap::read(images, kinds::PAGEMAP_SHMEM.of(id), sys::page_size())?)
}

/// Writes the pages of a map into a segment of `size` bytes, which may end within a page. `mapped`: through a mapping,
/// as huge pages, which take no writes, and segments that must not grow to the end of their last page.
pub fn fill(images: &ImageDir, map: &PageMap, file: BorrowedFd<'_>, size: u64, mapped: bool) -> Result<()> {
    if map.saved == 0 {
        return Ok(());
    }
    let (pages, _) = images.raw(kinds::PAGES.of(map.pages_id))?;
    let target = File::from(file.try_clone_to_owned().doing(|| "copy a descriptor")?);
    let mut buffer = vec![0; 1 << 20];
    for run in &map.runs {
        let Source::Saved { offset } = run.source else {
            return Err(Error::state("the pages are in a parent directory; such images are not supported yet"));
        };
        let len = run.pages * sys::page_size();
        if size.checked_next_multiple_of(sys::page_size()).is_none_or(|size| run.vaddr + len > size) {
            return Err(Error::state(format!("the images hold more of a segment of {size} bytes than its size")));
        }
        let len = len.min(size - run.vaddr);
        let mut done = 0;
        while done < len {
            let part = (len - done).min(buffer.len() as u64) as usize;
            pages.read_exact_at(&mut buffer[..part], offset + done).doing(|| "read saved pages")?;
            let at = run.vaddr + done;
            match mapped {
                true => {
                    sys::map::copy_into(target.as_fd(), size, at, &buffer[..part]).doing(|| "fill a mapped segment")?
                }
                false => target.write_all_at(&buffer[..part], at).doing(|| "fill shared memory")?,
            }
            done += part as u64;
        }
    }
    Ok(())
}
