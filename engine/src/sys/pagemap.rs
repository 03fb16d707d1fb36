//! PAGEMAP_SCAN (Linux 6.7): which pages of another process hold something.

use super::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd};

/// PAGE_IS_* categories.
pub mod category {
    /// The page is not write-protected by a userfaultfd.
    pub const WRITTEN: u64 = 1 << 1;
    /// The page belongs to a file (also shared memory).
    pub const FILE: u64 = 1 << 2;
    /// The page is in memory.
    pub const PRESENT: u64 = 1 << 3;
    /// The page is swapped out.
    pub const SWAPPED: u64 = 1 << 4;
    /// The page maps the kernel's zero page.
    pub const PFNZERO: u64 = 1 << 5;
    /// The page is a guard (MADV_GUARD_INSTALL); Linux 6.15.
    pub const GUARD: u64 = 1 << 8;
}

/// A run of pages that matched.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// The categories of all its pages, of those asked for.
    pub categories: u64,
}

#[repr(C)]
struct Arg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

const PAGEMAP_SCAN: libc::c_ulong = 0xc060_6610;

/// What a page must be to match.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Categories whose sense is turned round.
    pub inverted: u64,
    /// All of these must hold.
    pub all_of: u64,
    /// One of these must hold (0: any page).
    pub any_of: u64,
    /// The categories to report; runs are split where they differ.
    pub report: u64,
}

/// Scans `[start, end)` of the task whose /proc/PID/pagemap is given and appends the matching runs.
pub fn scan(pagemap: BorrowedFd<'_>, start: u64, end: u64, query: Query, out: &mut Vec<Region>) -> Result<()> {
    let mut regions = [Region::default(); 512];
    let mut at = start;
    while at < end {
        let mut arg = Arg {
            size: size_of::<Arg>() as u64,
            flags: 0,
            start: at,
            end,
            walk_end: 0,
            vec: regions.as_mut_ptr() as u64,
            vec_len: regions.len() as u64,
            max_pages: 0,
            category_inverted: query.inverted,
            category_mask: query.all_of,
            category_anyof_mask: query.any_of,
            return_mask: query.report,
        };
        // SAFETY: `arg` and the vector it names live across the call; the kernel writes at most vec_len regions.
        let n = check(unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut arg) }.into())? as usize;
        out.extend_from_slice(&regions[..n.min(regions.len())]);
        if arg.walk_end <= at {
            break;
        }
        at = arg.walk_end;
    }
    Ok(())
}
