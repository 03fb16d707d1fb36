//! Page maps: which pages of an address space or segment were saved, and where they lie.

use super::dir::ImageDir;
use super::error::Result;
use super::framing::Reader;
use super::kinds::{Name, PAGES};
use super::proto::{PagemapEntry, PagemapHead};

/// Flag of a run: the pages are in the parent directory's page map.
pub const PARENT: u32 = 1;
/// Flag of a run: the pages may come later.
pub const LAZY: u32 = 2;
/// Flag of a run: the pages are in the pages file.
pub const PRESENT: u32 = 4;

/// Where a run of pages is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the pages file.
    Saved {
        /// From this offset, in bytes.
        offset: u64,
    },
    /// In the parent directory's page map, at the same addresses.
    Parent,
    /// Nowhere yet: they come from a page server.
    Later,
}

/// Pages at consecutive addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Address of the first page, or its offset in a segment; a multiple of the page size.
    pub vaddr: u64,
    /// Number of pages, above 0.
    pub pages: u64,
    /// Where they are.
    pub source: Source,
    /// Whether a lazy restore may leave them for later.
    pub lazy: bool,
}

/// A page map. Its runs are in ascending order, none overlap, no address or offset in them overflows, and those
/// saved lie within the pages file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageMap {
    /// Number in the name of the pages file.
    pub pages_id: u32,
    /// The runs.
    pub runs: Vec<Run>,
    /// Bytes of the pages file that the runs cover.
    pub saved: u64,
}

/// The entry for a run of saved pages, as new images have it; `flags` are [`PRESENT`] and its like.
pub fn entry(vaddr: u64, pages: u64, flags: u32) -> PagemapEntry {
    PagemapEntry { vaddr, compat_nr_pages: 0, in_parent: None, flags: Some(flags), nr_pages: Some(pages) }
}

impl PageMap {
    /// Reads a page map; `None` if the image has no such file. `page_size` is in bytes.
    pub fn read(dir: &ImageDir, name: Name<PagemapEntry>, page_size: u64) -> Result<Option<Self>> {
        let Some(mut reader) = dir.reader(name)? else { return Ok(None) };
        let map = Self::parse(&mut reader, page_size)?;
        if map.saved > 0 {
            let (_, size) = dir.raw(PAGES.of(map.pages_id))?;
            if map.saved > size {
                let what = format!("{} saved bytes do not fit in {} of {size}", map.saved, PAGES.of(map.pages_id));
                return Err(reader.invalid(what));
            }
        }
        Ok(Some(map))
    }

    /// Reads a page map without its pages file.
    pub fn parse<R: std::io::Read>(reader: &mut Reader<R>, page_size: u64) -> Result<Self> {
        let Some(head) = reader.entry::<PagemapHead>()? else { return Err(reader.invalid("the head is missing")) };
        let mut map = Self { pages_id: head.pages_id, runs: Vec::new(), saved: 0 };
        let mut end = 0;
        while let Some(entry) = reader.entry::<PagemapEntry>()? {
            end = map.add(&entry, end, page_size).map_err(|what| reader.invalid(what))?;
        }
        Ok(map)
    }

    /// Adds a run, none of whose pages lie below `end`; returns its own end.
    fn add(&mut self, entry: &PagemapEntry, end: u64, page_size: u64) -> Result<u64, String> {
        let PagemapEntry { vaddr, .. } = *entry;
        let pages = entry.nr_pages.unwrap_or(entry.compat_nr_pages.into());
        let bytes = pages.checked_mul(page_size).filter(|bytes| *bytes > 0);
        let Some((bytes, next)) = bytes.and_then(|bytes| Some((bytes, vaddr.checked_add(bytes)?))) else {
            return Err(format!("{pages} pages at {vaddr:#x} are not possible"));
        };
        if vaddr % page_size != 0 || vaddr < end {
            return Err(format!("the pages at {vaddr:#x} are not in order"));
        }
        // without flags: images of old versions
        let old = if entry.in_parent == Some(true) { PARENT } else { PRESENT };
        let flags = entry.flags.unwrap_or(old);
        let source = match flags & (PARENT | PRESENT) {
            PRESENT => Source::Saved { offset: self.saved },
            PARENT => Source::Parent,
            0 if flags & LAZY != 0 => Source::Later,
            _ => return Err(format!("the flags {flags:#x} of the pages at {vaddr:#x} make no sense")),
        };
        if flags & !(PARENT | LAZY | PRESENT) != 0 {
            return Err(format!("the flags {flags:#x} of the pages at {vaddr:#x} are not known"));
        }
        if let Source::Saved { offset } = source {
            self.saved = offset.checked_add(bytes).ok_or("more pages than any file can hold")?;
        }
        self.runs.push(Run { vaddr, pages, source, lazy: flags & LAZY != 0 });
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::framing::{Order, push_entry, push_head};
    use super::super::kinds::PAGEMAP;
    use super::*;
    use std::path::Path;

    fn parse(entries: &[PagemapEntry]) -> Result<PageMap, String> {
        let mut bytes = Vec::new();
        push_head(&mut bytes, PAGEMAP.kind(), Order::Little);
        assert!(push_entry(&mut bytes, &PagemapHead { pages_id: 3 }, Order::Little));
        for entry in entries {
            assert!(push_entry(&mut bytes, entry, Order::Little));
        }
        let size = bytes.len() as u64;
        let mut reader = Reader::new(bytes.as_slice(), Path::new("pagemap"), size, PAGEMAP.kind()).unwrap();
        PageMap::parse(&mut reader, 4096).map_err(|e| e.to_string())
    }

    #[test]
    fn offsets_count_saved_pages_only() {
        let map = parse(&[
            entry(0x1000, 2, PRESENT),
            entry(0x4000, 1, PARENT),
            entry(0x5000, 7, LAZY),
            entry(0x10000, 1, PRESENT | LAZY),
        ]);
        let map = map.unwrap();
        let sources: Vec<_> = map.runs.iter().map(|r| r.source).collect();
        let saved = |offset| Source::Saved { offset };
        assert_eq!(sources, [saved(0), Source::Parent, Source::Later, saved(8192)]);
        assert_eq!((map.pages_id, map.saved, map.runs[3].lazy), (3, 12288, true));
    }

    #[test]
    fn old_images_have_no_flags() {
        let old = |vaddr, in_parent| PagemapEntry { vaddr, compat_nr_pages: 2, in_parent, ..Default::default() };
        let map = parse(&[old(0, None), old(0x2000, Some(true)), old(0x4000, Some(false))]).unwrap();
        let sources: Vec<_> = map.runs.iter().map(|r| r.source).collect();
        assert_eq!(sources, [Source::Saved { offset: 0 }, Source::Parent, Source::Saved { offset: 8192 }]);
        assert!(map.runs.iter().all(|r| r.pages == 2));
    }

    #[test]
    fn nonsense_is_refused() {
        for (entries, what) in [
            (vec![entry(1, 1, PRESENT)], "not in order"),
            (vec![entry(0x2000, 1, PRESENT), entry(0x1000, 1, PRESENT)], "not in order"),
            (vec![entry(0x1000, 2, PRESENT), entry(0x2000, 1, PRESENT)], "not in order"),
            (vec![entry(0x1000, 0, PRESENT)], "not possible"),
            (vec![entry(0x1000, u64::MAX / 4096, PRESENT)], "not possible"),
            (vec![entry(0x1000, u64::MAX, PRESENT)], "not possible"),
            (vec![entry(0x1000, 1, 0)], "make no sense"),
            (vec![entry(0x1000, 1, PRESENT | PARENT)], "make no sense"),
            (vec![entry(0x1000, 1, PRESENT | 8)], "not known"),
        ] {
            let error = parse(&entries).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
