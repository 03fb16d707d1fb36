//! Writing what was collected: the pages first, then the small files.

use super::drain::{self, Source, Target};
use super::freeze::Process;
use super::{Collected, OfProcess};
use crate::error::{Doing, Result};
use crate::image::kinds;
use crate::image::proto::{
    InventoryEntry, Lsmtype, PagemapEntry, PagemapHead, PluginsEntry, PstreeEntry, TaskKobjIdsEntry, TimensEntry,
    Timespec,
};
use crate::image::{ChunkSums, ManifestHead, NewImageDir};
use crate::kind::LinkRemaps;
use crate::options::DumpOptions;
use crate::sys;
use std::sync::OnceLock;

/// CRIU's format version.
const IMAGE_VERSION: u32 = 2;
/// `pagemap_entry.flags`: the pages are in the pages file.
const PRESENT: u32 = 4;

/// Namespaces in CRIU's order of numbers: the engine's own.
pub fn kobj_ids((vm_id, files_id, fs_id, sighand_id): (u32, u32, u32, u32)) -> TaskKobjIdsEntry {
    TaskKobjIdsEntry {
        vm_id,
        files_id,
        fs_id,
        sighand_id,
        pid_ns_id: Some(1),
        net_ns_id: Some(2),
        ipc_ns_id: Some(3),
        uts_ns_id: Some(4),
        time_ns_id: Some(5),
        mnt_ns_id: Some(6),
        user_ns_id: Some(7),
        cgroup_ns_id: Some(8),
    }
}

/// Identifies this dump.
fn run_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
        id.trim().to_owned()
    })
}

/// What the manifest says of this machine.
pub fn manifest_head() -> Result<ManifestHead> {
    let uname = nix::sys::utsname::uname().doing(|| "ask for the kernel's name")?;
    Ok(ManifestHead {
        run_id: run_id().to_owned(),
        page_size: sys::page_size() as u32,
        arch: uname.machine().to_string_lossy().into_owned(),
        kernel: uname.release().to_string_lossy().into_owned(),
    })
}

/// The files that every process and every thread has.
pub fn names(tree: &[Process]) -> Vec<String> {
    let number = |pid: sys::Pid| pid.as_raw() as u64;
    let mut names = Vec::new();
    for process in tree {
        let pid = number(process.pid);
        match process.is_zombie() {
            true => names.push(kinds::CORE.of(pid).to_string()),
            false => {
                names.extend(process.threads.iter().map(|t| kinds::CORE.of(number(t.seized.tid())).to_string()));
                names.extend([kinds::IDS.of(pid).to_string(), kinds::FS.of(pid).to_string()]);
                names.extend([kinds::MM.of(pid).to_string(), kinds::PAGEMAP.of(pid).to_string()]);
            }
        }
    }
    names
}

/// Writes page maps and pages: the number of pages written.
pub fn pages(out: &NewImageDir, collected: &mut Collected<'_>, options: &DumpOptions) -> Result<u64> {
    let page = sys::page_size();
    let mut targets = Vec::new();
    let segments = &mut collected.segments;
    collected.files.cx.memfds.place(|inode, file| segments.add(inode, file));
    for (id, file) in std::mem::take(&mut collected.segments.files) {
        let runs = drain::segment_runs(&file)?;
        let target = target(out, targets.len(), Source::Segment(file), runs, None)?;
        write_map(out, kinds::PAGEMAP_SHMEM.of(id), &target, targets.len())?;
        targets.push(target);
    }
    for process in &mut collected.processes {
        let Some(pagemap) = process.pagemap.take() else { continue };
        let runs = std::mem::take(&mut process.runs);
        let speaker = process.speaker;
        let source = Source::Task(speaker, pagemap.into());
        let target = target(out, targets.len(), source, runs, process.vdso.take())?;
        write_map(out, kinds::PAGEMAP.of(process.pid.as_raw() as u64), &target, targets.len())?;
        targets.push(target);
    }
    let total: u64 = targets.iter().map(size).sum();
    options.common.progress.start("writing memory", total);
    drain::drain(&targets, &options.common.progress)?;
    options.common.progress.finish();
    for (i, target) in targets.into_iter().enumerate() {
        let size = size(&target);
        let crc = target.sums.finish(size).unwrap_or_default();
        out.finish_raw(kinds::PAGES.of(pages_id(i)), size, crc);
    }
    Ok(total / page)
}

/// Pages files are numbered from 1.
fn pages_id(index: usize) -> u64 {
    index as u64 + 1
}

fn size(target: &Target) -> u64 {
    target.runs.iter().map(|(start, end)| end - start).sum()
}

fn target(
    out: &NewImageDir,
    index: usize,
    source: Source,
    runs: Vec<(u64, u64)>,
    given: Option<(u64, Vec<u8>)>,
) -> Result<Target> {
    let name = kinds::PAGES.of(pages_id(index));
    let file = out.create_raw(name)?;
    // Pieces are written in any order: within a size that is known, not each beyond the end.
    let size: u64 = runs.iter().map(|(start, end)| end - start).sum();
    file.set_len(size).doing(|| format!("make room for {name}"))?;
    Ok(Target { source, runs, given, file, name: name.to_string(), sums: ChunkSums::new() })
}

fn write_map(out: &NewImageDir, name: crate::image::Name<PagemapEntry>, target: &Target, index: usize) -> Result<()> {
    let page = sys::page_size();
    let mut writer = out.writer(name);
    writer.other(&PagemapHead { pages_id: pages_id(index) as u32 })?;
    for (start, end) in &target.runs {
        writer.entry(&PagemapEntry {
            vaddr: *start,
            compat_nr_pages: 0,
            in_parent: None,
            flags: Some(PRESENT),
            nr_pages: Some((end - start) / page),
        })?;
    }
    Ok(writer.finish()?)
}

/// Writes everything but the pages. The names that it makes for deleted files last as long as what it returns.
pub fn images(out: &NewImageDir, tree: &[Process], mut collected: Collected<'_>) -> Result<LinkRemaps> {
    out.write_one(kinds::INVENTORY.single(), &inventory())?;
    let entries: Vec<PstreeEntry> = tree.iter().map(|p| pstree(p, &tree[0])).collect();
    out.write_all(kinds::PSTREE.single(), &entries)?;
    for process in &collected.processes {
        process_files(out, process)?;
    }
    for (id, table) in &collected.tables {
        out.write_all(kinds::FDINFO.of(*id), table)?;
    }
    collected.files.cx.locks.check_holders(&collected.files.cx.tree)?;
    let files = &mut collected.files;
    let links = files.cx.write(&mut files.entries, out)?;
    out.write_all(kinds::FILES.single(), &files.entries)?;
    out.write_one(kinds::SECCOMP.single(), &collected.filters.finish())?;
    collected.namespaces.write(out)?;
    out.write_one(kinds::TIMENS.of(0u32), &clocks()?)?;
    if !collected.restarts.is_empty() {
        out.write_all(kinds::STASIS_RESTART.single(), &collected.restarts)?;
    }
    out.write_all(kinds::STASIS_TASK.single(), &collected.tasks)?;
    Ok(links)
}

fn process_files(out: &NewImageDir, process: &OfProcess) -> Result<()> {
    let pid = process.pid.as_raw() as u64;
    if let Some(ids) = &process.ids {
        out.write_one(kinds::IDS.of(pid), ids)?;
    }
    if let Some(fs) = &process.fs {
        out.write_one(kinds::FS.of(pid), fs)?;
    }
    if let Some(mm) = &process.mm {
        out.write_one(kinds::MM.of(pid), mm)?;
    }
    Ok(())
}

fn inventory() -> InventoryEntry {
    InventoryEntry {
        img_version: IMAGE_VERSION,
        fdinfo_per_id: Some(true),
        root_ids: Some(kobj_ids((1, 1, 1, 1))),
        ns_per_id: Some(true),
        root_cg_set: Some(1),
        lsmtype: Some(Lsmtype::NoLsm as i32),
        dump_uptime: None,
        pre_dump_mode: None,
        tcp_close: None,
        network_lock_method: Some(0),
        plugins_entry: Some(PluginsEntry { plugins: Vec::new() }),
        dump_criu_run_id: Some(run_id().to_owned()),
        allow_uprobes: None,
    }
}

/// The root of the tree has no parent in the images.
fn pstree(process: &Process, root: &Process) -> PstreeEntry {
    let stat = &process.stat;
    let number = |pid: sys::Pid| pid.as_raw() as u32;
    let mut threads: Vec<u32> = process.threads.iter().map(|t| number(t.seized.tid())).collect();
    if process.is_zombie() || process.has_dead_leader() {
        threads.insert(0, number(process.pid));
    }
    PstreeEntry {
        pid: number(process.pid),
        ppid: if process.pid == root.pid { 0 } else { number(stat.ppid) },
        pgid: number(stat.pgrp),
        sid: number(stat.session),
        threads,
    }
}

/// The clocks that do not run with the time of day, as they are now.
fn clocks() -> Result<TimensEntry> {
    let read = |clock| -> Result<Timespec> {
        let now = nix::time::clock_gettime(clock).doing(|| "read a clock")?;
        Ok(Timespec { tv_sec: now.tv_sec() as u64, tv_nsec: now.tv_nsec() as u64 })
    };
    Ok(TimensEntry {
        monotonic: read(nix::time::ClockId::CLOCK_MONOTONIC)?,
        boottime: read(nix::time::ClockId::CLOCK_BOOTTIME)?,
    })
}
