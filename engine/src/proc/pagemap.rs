//! Entries of /proc/PID/pagemap: one word a page, admin-guide/mm/pagemap.rst.

use super::error::ParseError;

/// What the kernel tells about one page of an address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PageEntry(u64);

impl PageEntry {
    /// Bytes of an entry in the file.
    pub const SIZE: usize = 8;

    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const FILE: u64 = 1 << 61;
    const GUARD: u64 = 1 << 58;
    const UFFD_WP: u64 = 1 << 57;
    const EXCLUSIVE: u64 = 1 << 56;
    const SOFT_DIRTY: u64 = 1 << 55;
    const FRAME: u64 = (1 << 55) - 1;

    /// An entry from its word.
    pub fn new(word: u64) -> Self {
        Self(word)
    }

    /// The word.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The page is in memory.
    pub fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// The page is in swap, or a migration or a marker stands in its place.
    pub fn is_swapped(self) -> bool {
        self.0 & Self::SWAPPED != 0
    }

    /// The page belongs to a file or to shared anonymous memory.
    pub fn is_file(self) -> bool {
        self.0 & Self::FILE != 0
    }

    /// A guard region: any access is a SIGSEGV. Since 6.15; never set before.
    pub fn is_guard(self) -> bool {
        self.0 & Self::GUARD != 0
    }

    /// The page is write-protected by a userfaultfd.
    pub fn is_uffd_wp(self) -> bool {
        self.0 & Self::UFFD_WP != 0
    }

    /// The page is mapped here and nowhere else.
    pub fn is_exclusive(self) -> bool {
        self.0 & Self::EXCLUSIVE != 0
    }

    /// The page was written since the soft-dirty bits were cleared.
    pub fn is_soft_dirty(self) -> bool {
        self.0 & Self::SOFT_DIRTY != 0
    }

    /// The page frame number. `None` when the page is not present, and for a reader without CAP_SYS_ADMIN, to whom
    /// the kernel shows 0.
    pub fn frame(self) -> Option<u64> {
        let frame = self.0 & Self::FRAME;
        (self.is_present() && frame != 0).then_some(frame)
    }

    /// The swap area's number and the page's place in it. `None` when the page is not swapped.
    pub fn swap(self) -> Option<(u32, u64)> {
        let word = self.0 & Self::FRAME;
        // The mask leaves five bits.
        self.is_swapped().then_some(((word & 0x1f) as u32, word >> 5))
    }
}

/// Parses a piece of pagemap: whole entries in this machine's byte order.
pub fn parse(bytes: &[u8]) -> Result<impl ExactSizeIterator<Item = PageEntry> + '_, ParseError> {
    let (entries, rest) = bytes.as_chunks::<{ PageEntry::SIZE }>();
    if rest.is_empty() {
        Ok(entries.iter().map(|entry| PageEntry(u64::from_ne_bytes(*entry))))
    } else {
        Err(ParseError::new(1, "whole entries of 8 bytes", rest))
    }
}
