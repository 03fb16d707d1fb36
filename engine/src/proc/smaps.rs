//! /proc/PID/smaps: the areas of an address space with their flags and what they hold.

use super::ProcDir;
use super::error::{ParseError, Result};
use super::maps::{Mapping, mapping};
use super::text::{Line, Lines};
pub use super::vmflags::VmFlags;

/// An area with its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Its line of maps.
    pub mapping: Mapping,
    /// Its flags.
    pub flags: VmFlags,
    /// Flags this program does not know, by their codes.
    pub unknown_flags: Vec<[u8; 2]>,
    /// What it holds.
    pub usage: Usage,
    /// The key of pkey_alloc(2); `None` where the CPU has no keys.
    pub protection_key: Option<u32>,
}

/// What an area holds, all in kB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The size of its pages: that of hugetlb pages where it consists of them.
    pub page_size: u64,
    /// Pages present.
    pub rss: u64,
    /// Pages present, each divided by the number of its mappings.
    pub pss: u64,
    /// Pages present that are anonymous, among them copies of a private file's pages.
    pub anonymous: u64,
    /// Pages swapped out.
    pub swap: u64,
    /// Pages present and locked, in proportion like `pss`.
    pub locked: u64,
    /// Pages of hugetlbfs, which `rss` leaves out.
    pub hugetlb: u64,
}

/// Reads `smaps` of a process. The kernel walks all page tables for it: many times the cost of `maps`.
pub fn read(dir: &ProcDir, buf: &mut Vec<u8>) -> Result<Vec<Area>> {
    dir.read_with("smaps", buf, parse)
}

/// Parses an smaps file.
pub fn parse(text: &[u8]) -> Result<Vec<Area>, ParseError> {
    let mut lines = Lines::new(text);
    // About 700 bytes an area: room for all of them without moving any.
    let mut areas = Vec::with_capacity(text.len() / 700 + 1);
    while let Some(mut line) = lines.next() {
        let mapping = mapping(&mut line)?;
        let mut area = Area {
            mapping,
            flags: VmFlags::EMPTY,
            unknown_flags: Vec::new(),
            usage: Usage::default(),
            protection_key: None,
        };
        details(&mut area, &mut lines)?;
        areas.push(area);
    }
    Ok(areas)
}

/// The lines below the one of the area, of which VmFlags is the last.
fn details(area: &mut Area, lines: &mut Lines<'_>) -> Result<(), ParseError> {
    for mut line in lines.by_ref() {
        let whole = line.clone();
        let Some(key) = line.until(b':').filter(|key| key.first().is_some_and(u8::is_ascii_uppercase)) else {
            return Err(whole.error("a line `Name: value` of an area, up to VmFlags"));
        };
        let usage = &mut area.usage;
        let field = match key {
            b"Rss" => &mut usage.rss,
            b"Pss" => &mut usage.pss,
            b"Anonymous" => &mut usage.anonymous,
            b"Swap" => &mut usage.swap,
            b"Locked" => &mut usage.locked,
            b"KernelPageSize" => &mut usage.page_size,
            b"Shared_Hugetlb" | b"Private_Hugetlb" => {
                usage.hugetlb = usage.hugetlb.saturating_add(line.kilobytes()?);
                continue;
            }
            b"ProtectionKey" => {
                area.protection_key = Some(line.dec("a protection key")?);
                continue;
            }
            b"VmFlags" => return flags(area, &mut line),
            _ => continue,
        };
        *field = line.kilobytes()?;
        line.end()?;
    }
    Err(lines.error("VmFlags of the last area", b""))
}

fn flags(area: &mut Area, line: &mut Line<'_>) -> Result<(), ParseError> {
    line.blanks();
    while !line.is_done() {
        let code = line.take::<2>("a flag of two letters")?;
        if !line.rest().is_empty() {
            line.expect(b" ", "a blank after a flag of two letters")?;
            line.blanks();
        }
        match VmFlags::from_code(code) {
            Some(flag) => area.flags |= flag,
            None => area.unknown_flags.push(code),
        }
    }
    Ok(())
}
