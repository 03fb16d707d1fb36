//! Probes of memory: page maps, mappings and how they can be restored.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, PermissionsExt};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{Answer, Because, unless};
use crate::proc::ProcDir;
use crate::proc::smaps::{self, VmFlags};
use crate::sys::probe::{self, Area, in_child, page_size};

/// PAGEMAP_SCAN categories, linux/fs.h.
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_GUARD: u64 = 1 << 8;

/// Entries of /proc/PID/pagemap.
const PFN_MASK: u64 = (1 << 55) - 1;
const SOFT_DIRTY: u64 = 1 << 55;
const PRESENT: u64 = 1 << 63;

pub(super) fn set_mm() -> Answer {
    let size = probe::set_mm_map_size().because("PR_SET_MM_MAP_SIZE")?;
    unless(size > 0, "PR_SET_MM_MAP_SIZE is zero")
}

pub(super) fn map_files() -> Answer {
    let file = File::open("/proc/self/exe").because("/proc/self/exe")?;
    let area = Area::of_file(&file, page_size()).because("mmap of /proc/self/exe")?;
    let path = format!("/proc/self/map_files/{:x}-{:x}", area.address(), area.address() + page_size());
    File::open(&path).because(&path).map(drop)
}

/// The page map's entry of the area's first page.
fn entry(area: &Area) -> Result<u64, String> {
    let pagemap = probe::own_pagemap().because("/proc/self/pagemap")?;
    let mut entry = [0; 8];
    pagemap.read_exact_at(&mut entry, (area.address() / page_size() * 8) as u64).because("/proc/self/pagemap")?;
    Ok(u64::from_ne_bytes(entry))
}

fn touched() -> Result<Area, String> {
    let mut area = Area::anonymous(page_size(), true).because("mmap")?;
    area.touch();
    Ok(area)
}

pub(super) fn pagemap_pfn() -> Answer {
    let entry = entry(&touched()?)?;
    unless(entry & PRESENT != 0, "the page map does not show a page that is there")?;
    unless(entry & PFN_MASK != 0, "the page map hides page frame numbers: needs CAP_SYS_ADMIN")
}

pub(super) fn pagemap_scan() -> Answer {
    let (area, pagemap) = (touched()?, probe::own_pagemap().because("/proc/self/pagemap")?);
    let found = area.scan(pagemap.as_fd(), PAGE_IS_PRESENT).because("PAGEMAP_SCAN")?;
    unless(found == 1, "PAGEMAP_SCAN does not find a page that is there")
}

pub(super) fn scan_guards() -> Answer {
    let (mut area, pagemap) = (touched()?, probe::own_pagemap().because("/proc/self/pagemap")?);
    area.guard().because("MADV_GUARD_INSTALL")?;
    let found = area.scan(pagemap.as_fd(), PAGE_IS_GUARD).because("PAGEMAP_SCAN for guards")?;
    unless(found == 1, "PAGEMAP_SCAN does not find a guard")
}

pub(super) fn guard() -> Answer {
    touched()?.guard().because("MADV_GUARD_INSTALL")
}

pub(super) fn anon_name() -> Answer {
    touched()?.name(c"stasis probe").because("PR_SET_VMA_ANON_NAME")
}

pub(super) fn smaps_lock_on_fault() -> Answer {
    let mut area = touched()?;
    area.lock_on_fault().because("mlock2")?;
    let areas = smaps::read(&ProcDir::current().because("/proc/self")?, &mut Vec::new()).because("smaps")?;
    let found = areas.iter().find(|a| a.mapping.range.start == area.address() as u64);
    unless(found.is_some_and(|a| a.flags.contains(VmFlags::LOCK_ON_FAULT)), "smaps has no letters for it")
}

pub(super) fn mseal() -> Answer {
    probe::mseal_nothing(&touched()?).because("mseal")
}

/// By soft-dirty bits, or by asynchronous write protection and PAGEMAP_SCAN.
pub(super) fn dirty_track() -> Answer {
    let Err(soft) = in_child(soft_dirty) else { return Ok(()) };
    let asynchronous = || -> Answer {
        const UFFD_FEATURE_WP_ASYNC: u64 = 1 << 15;
        pagemap_scan()?;
        uffd_with(UFFD_FEATURE_WP_ASYNC)
    };
    asynchronous().map_err(|protection| format!("neither soft-dirty bits ({soft}) nor write protection ({protection})"))
}

fn soft_dirty() -> Answer {
    let mut area = touched()?;
    fs::write("/proc/self/clear_refs", "4").because("/proc/self/clear_refs")?;
    let clean = entry(&area)? & SOFT_DIRTY == 0;
    area.touch();
    let dirty = entry(&area)? & SOFT_DIRTY != 0;
    unless(clean && dirty, "CONFIG_MEM_SOFT_DIRTY")
}

fn uffd_with(features: u64) -> Answer {
    let fd = probe::userfaultfd().because("userfaultfd")?;
    let there = probe::userfaultfd_features(fd.as_fd(), features).because("UFFDIO_API")?;
    unless(there & features == features, "UFFDIO_API lacks a feature")
}

pub(super) fn uffd() -> Answer {
    uffd_with(0)
}

pub(super) fn uffd_noncoop() -> Answer {
    const EVENT_FORK: u64 = 1 << 1;
    const EVENT_REMAP: u64 = 1 << 2;
    const EVENT_REMOVE: u64 = 1 << 3;
    const EVENT_UNMAP: u64 = 1 << 6;
    uffd_with(EVENT_FORK | EVENT_REMAP | EVENT_REMOVE | EVENT_UNMAP)
}

pub(super) fn aio_remap() -> Answer {
    in_child(|| probe::move_aio_ring(size_of_map_at).because("io_setup, mremap, io_getevents"))
}

/// The length of the mapping that begins at `start`.
fn size_of_map_at(start: usize) -> Option<usize> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (from, to) = line.split_whitespace().next()?.split_once('-')?;
        let from = usize::from_str_radix(from, 16).ok()?;
        let to = usize::from_str_radix(to, 16).ok()?;
        (from == start).then_some(to - from)
    })
}

fn memfd(name: &CStr, flags: u32) -> Result<OwnedFd, String> {
    memfd_create(name, MFdFlags::from_bits_retain(flags)).because("memfd_create")
}

/// Executes a memfd as the seed is executed, from a child: here a script, which fails only after the permission check.
pub(super) fn memfd_exec() -> Answer {
    const MFD_EXEC: u32 = 0x10;
    // Before 6.3 there is no such flag, and every memfd can be executed.
    let memfd = memfd(c"stasis-probe", MFD_EXEC).or_else(|_| memfd(c"stasis-probe", 0))?;
    let mut file = File::from(memfd);
    file.write_all(b"not a program").because("write")?;
    let mode = file.metadata().because("fstat")?.permissions().mode();
    unless(mode & 0o100 != 0, "the memfd is not executable: vm.memfd_noexec")?;
    in_child(move || {
        let (arguments, environment) = ([c"stasis-probe"], [c""; 0]);
        let flags = nix::fcntl::AtFlags::AT_EMPTY_PATH;
        match nix::unistd::execveat(&file, c"", &arguments, &environment, flags) {
            Err(nix::errno::Errno::ENOEXEC) => Ok(()),
            Err(e) => Err(format!("execveat of a memfd: {e}")),
        }
    })
}

pub(super) fn memfd_hugetlb() -> Answer {
    const MFD_HUGETLB: u32 = 0x4;
    memfd(c"stasis-probe", MFD_HUGETLB).map(drop)
}
