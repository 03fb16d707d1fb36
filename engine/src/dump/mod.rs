//! The dump: freeze → collect → drain → thaw. [`run`] is the list of its phases.
//!
//! On every way out but success with the tree killed, dropping the frozen threads gives them back what they had.

mod aio;
mod cgroup;
mod check;
pub mod core;
mod cores;
mod drain;
pub mod files;
mod freeze;
mod inside;
mod memory;
mod namespaces;
mod outside;
mod pages;
mod queues;
mod seccomp;
mod sharing;
pub mod survey;
mod userfaults;
mod whole;
mod write;

use crate::cancel;
use crate::error::{Doing, Error, Result};
use crate::fault;
use crate::image::NewImageDir;
use crate::image::proto::{FdinfoEntry, FsEntry, MmEntry, StasisGuard, StasisRestartEntry, StasisTaskEntry};
use crate::options::{AfterDump, CpuCap, DumpOptions};
use crate::proc::{smaps, task, timers};
use crate::refusals::Refusals;
use crate::remote::Leftover;
use crate::sys::{self, Pid, RemoteAddr};
use cgroup::Cgroup;
use cores::CoreWriter;
use freeze::Process;
use namespaces::Namespaces;
use outside::OutsideProcess;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};
use whole::Shared;

/// What a dump did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// From the first stop to the last.
    pub freezing: Duration,
    /// From the first stop until the tree was let go or killed.
    pub frozen: Duration,
    /// Copying memory.
    pub draining: Duration,
    /// Processes dumped.
    pub processes: usize,
    /// Pages written.
    pub pages: u64,
}

/// Everything that is known of the tree, ready to be written.
struct Collected<'a> {
    /// For each process the number of its descriptor table, or none for a zombie.
    processes: Vec<OfProcess>,
    files: files::Files<'a>,
    tables: Vec<(u32, Vec<FdinfoEntry>)>,
    segments: memory::Segments,
    namespaces: Namespaces,
    filters: seccomp::Filters,
    restarts: Vec<StasisRestartEntry>,
    tasks: Vec<StasisTaskEntry>,
}

/// A process, ready to be written.
struct OfProcess {
    pid: Pid,
    /// A live thread to ask about the memory.
    speaker: Pid,
    ids: Option<crate::image::proto::TaskKobjIdsEntry>,
    fs: Option<FsEntry>,
    mm: Option<MmEntry>,
    runs: Vec<(u64, u64)>,
    vdso: Option<(u64, Vec<u8>)>,
    pagemap: Option<File>,
}

/// Dumps the tree of `options.pid` into the images directory.
///
/// # Errors
/// An object that cannot be dumped, something the kernel refused, or the disk: in every case the tree runs on as if
/// nothing had happened, and the directory does not look complete.
pub fn run(options: &DumpOptions) -> Result<Report> {
    sys::file::widen_table();
    let mut out = NewImageDir::create(&options.common.images_dir, options.sync)?;
    fault::point("begin")?;
    check::root(options.pid)?;
    let started = Instant::now();
    let mut cgroup = Cgroup::find(options)?;
    let mut tree = freeze::freeze(options.pid, options.common.timeout, &mut cgroup)?;
    let freezing = started.elapsed();
    fault::point("frozen")?;
    let mut refusals = Refusals::default();
    let outlines = freeze::outlines(&tree);
    check::tree(&outlines, options, &mut refusals)?;
    let namespaces = Namespaces::read(&outlines, &mut refusals)?;
    let mut collected = collect(&mut tree, options, namespaces, &out)?;
    let sharing = sharing::find(&tree, &collected.processes)?;
    fault::point("collected")?;
    let drained = Instant::now();
    let pages = write::pages(&out, &mut collected, options)?;
    let draining = drained.elapsed();
    let links = write::images(&out, &tree, collected)?;
    sharing.write(&out)?;
    fault::point("written")?;
    if options.common.cpu_cap != Some(CpuCap::NONE) {
        let cpu = crate::check::cpu::here().doing(|| "ask for the features of the CPU")?;
        crate::check::cpu::image::save(&out, &cpu)?;
    }
    cancel::check()?;
    let pidfds = pidfds(&tree, options.after);
    seal(&mut out, &mut tree, options.after)?;
    out.keep();
    // A tree that runs on needs no new names for its deleted files.
    if options.after != AfterDump::Run {
        links.keep();
    }
    let processes = tree.len();
    finish(tree, &pidfds, options.after)?;
    Ok(Report { freezing, frozen: started.elapsed(), draining, processes, pages })
}

/// Asks for everything but the contents of memory, and writes the core images meanwhile.
fn collect<'a>(
    tree: &mut [Process],
    options: &'a DumpOptions,
    namespaces: Namespaces,
    out: &NewImageDir,
) -> Result<Collected<'a>> {
    let names = write::names(tree);
    std::thread::scope(|scope| {
        let writer = CoreWriter::start(scope, out, names);
        let collected = collect_all(tree, options, namespaces, &writer);
        // Of two errors the first to happen explains the other.
        collected.and_then(|collected| writer.finish().map(|()| collected))
    })
}

fn collect_all<'a>(
    tree: &mut [Process],
    options: &'a DumpOptions,
    namespaces: Namespaces,
    writer: &CoreWriter<'_>,
) -> Result<Collected<'a>> {
    let mut collected = Collected {
        processes: Vec::with_capacity(tree.len()),
        files: files::Files::new(options),
        tables: Vec::new(),
        segments: namespaces.segments(),
        namespaces,
        filters: seccomp::Filters::default(),
        restarts: Vec::new(),
        tasks: Vec::new(),
    };
    let outlines = freeze::outlines(tree);
    let outside = whole::begin(&outlines, &mut collected.files, &mut collected.namespaces)?;
    let shared = Shared::find(&outlines, &mut collected.files.cx.refusals)?;
    let mut live = 0;
    for (process, outside) in tree.iter_mut().zip(outside) {
        cancel::check()?;
        let Some(outside) = outside else {
            writer.put(process.pid, core::of_zombie(process))?;
            collected.tasks.push(core::extra_of_zombie(process));
            let pid = process.pid;
            collected.processes.push(OfProcess {
                pid,
                speaker: pid,
                ids: None,
                fs: None,
                mm: None,
                runs: Vec::new(),
                vdso: None,
                pagemap: None,
            });
            continue;
        };
        let of_process =
            collect_process(process, outside, shared.ids(live, &collected.namespaces), &mut collected, writer)?;
        collected.processes.push(of_process);
        live += 1;
    }
    let table = |id| collected.tables.iter().find(|(of, _)| *of == id).map(|(_, table)| table.as_slice());
    let of_process = |p: &OfProcess| Some((p.pid, p.speaker, table(p.ids.as_ref()?.files_id)?));
    let tables: Vec<_> = collected.processes.iter().filter_map(of_process).collect();
    let without = whole::settle(
        &freeze::outlines(tree),
        &tables,
        &mut collected.files,
        &mut collected.namespaces,
        &mut collected.segments,
    )?;
    for pid in without {
        let of_process = collected.tasks.iter_mut().find(|task| task.tid == pid.as_raw() as u32);
        of_process.into_iter().for_each(|task| task.no_terminal = Some(true));
    }
    Ok(collected)
}

/// Asks for everything of one process.
fn collect_process(
    process: &mut Process,
    outside: OutsideProcess,
    ids: crate::image::proto::TaskKobjIdsEntry,
    collected: &mut Collected<'_>,
    writer: &CoreWriter<'_>,
) -> Result<OfProcess> {
    let pid = process.speaker();
    let mut buffer = Vec::new();
    let look = |areas: Vec<smaps::Area>| -> Result<_> {
        let mut vdso = memory::vdso(pid, &areas)?;
        let leftover = vdso.as_mut().and_then(|(at, bytes)| Leftover::find(pid, RemoteAddr(*at), bytes));
        Ok((areas, vdso, leftover))
    };
    let (mut areas, mut vdso, mut leftover) = look(outside.areas)?;
    if let Some(found) = &leftover {
        process.threads.iter_mut().try_for_each(|t| t.seized.go_home(found))?;
        // On its way home a thread may have made the area that a killed engine asked it for.
        (areas, vdso, leftover) = look(smaps::read(&process.dir.thread(pid)?, &mut buffer)?)?;
    }
    let table = match collected.tables.iter().any(|(id, _)| *id == ids.files_id) {
        true => None,
        false => Some((ids.files_id, collected.files.table(process, outside.descriptors)?)),
    };
    collected.tables.extend(table);
    let fs = collected.files.directories(process)?;
    let exe = collected.files.executable(process)?;
    let posix = timers::read(&process.dir, &mut buffer)?;
    let (mut of_process, of_threads) = {
        let (at, bytes) = vdso.as_ref().ok_or_else(|| memory::without_vdso(pid))?;
        let hole = |len| memory::hole(&areas, len);
        let locked = process.status.vm_locked.unwrap_or(0) > 0;
        let room =
            inside::Room { locked, vdso: RemoteAddr(*at), vdso_bytes: bytes, leftover: leftover.as_ref(), hole: &hole };
        ask(process, &posix, &areas, &room, ids.files_id, collected)?
    };
    refuse_own_rings(process, &of_threads)?;
    let memory =
        memory::collect(process, &areas, leftover.as_ref(), vdso, &mut collected.files, &mut collected.segments)?;
    let seccomp = process.threads.iter().map(|t| collected.filters.of_thread(t)).collect::<Result<Vec<_>>>()?;
    let sources = core::Sources { process, inside: &of_process, threads: &of_threads, ids, seccomp: &seccomp };
    let mut extras = core::of_process(&sources, writer)?;
    if let Some(task) = extras.tasks.first_mut() {
        task.vma_names = memory.names;
        task.vma_flags = memory.flags;
        task.adjustments = std::mem::take(&mut of_process.adjustments);
        task.vdso_written = memory.vdso_written.then_some(true);
        task.guards = memory.guards.iter().map(|&(start, end)| StasisGuard { start, end }).collect();
    }
    process.queues = extras.queues;
    collected.restarts.append(&mut extras.restarts);
    collected.tasks.append(&mut extras.tasks);
    let mm = mm(process, &of_process, exe, memory.vmas, &mut buffer)?;
    Ok(OfProcess {
        pid: process.pid,
        speaker: pid,
        ids: Some(ids),
        fs: Some(fs),
        mm: Some(mm),
        runs: memory.runs,
        vdso: memory.vdso,
        pagemap: Some(memory.pagemap),
    })
}

/// Asks a process and its threads, and takes note of what they say of files and IPC objects. `table` is the number of its
/// descriptor table.
fn ask(
    process: &mut Process,
    posix: &[timers::Timer],
    areas: &[smaps::Area],
    room: &inside::Room<'_>,
    table: u32,
    collected: &mut Collected<'_>,
) -> Result<(inside::OfProcess, Vec<inside::OfThread>)> {
    let Collected { namespaces, files, tables, .. } = collected;
    let eventfds = std::mem::take(&mut files.cx.eventfds);
    let queues = std::mem::take(&mut files.cx.tty_queues);
    let table = tables.iter().find(|(id, _)| *id == table).map(|(_, table)| table.as_slice());
    let notices = match &files.cx.queues {
        Some(queues) => {
            let signals = &process.status.signals;
            let pending = signals.pending | signals.shared_pending;
            queues.questions(process.pid, table.unwrap_or_default(), &files.entries, pending)?
        }
        None => Vec::new(),
    };
    let rings = aio::rings(areas);
    aio::settle(process.speaker(), &rings, files.cx.options.common.timeout)?;
    let about = inside::About {
        timers: posix,
        eventfds: &eventfds,
        queues: &queues,
        semaphores: namespaces.asked_of(process),
        notices: &notices,
        rings: &rings,
        io_uring: !files.cx.rings.found.is_empty(),
    };
    let (mut of_process, of_threads) = inside::ask(process, &about, room)?;
    files.set_semaphores(&of_process.semaphores);
    files.cx.terminals.note_queued(&of_process.queued);
    namespaces.check_adjustments(process.pid, &mut of_process.adjustments)?;
    for answer in std::mem::take(&mut of_process.notices) {
        files.cx.queues.iter_mut().for_each(|queues| queues.learn(answer.clone()));
    }
    Ok((of_process, of_threads))
}

/// Refuses threads that enter an io_uring instance by a number of their own.
fn refuse_own_rings(process: &Process, threads: &[inside::OfThread]) -> Result<()> {
    match process.threads.iter().zip(threads).find(|(_, thread)| thread.has_ring) {
        None => Ok(()),
        Some((thread, _)) => {
            let reason = "it has registered an io_uring instance for itself (IORING_REGISTER_RING_FDS)";
            Err(Error::unsupported(format!("thread {}", thread.seized.tid()), reason))
        }
    }
}

/// The message of an address space.
fn mm(
    process: &Process,
    inside: &inside::OfProcess,
    exe_file_id: u32,
    vmas: Vec<crate::image::proto::VmaEntry>,
    buffer: &mut Vec<u8>,
) -> Result<MmEntry> {
    // A dead leader shows no addresses; its threads do.
    let of_thread = || -> Result<_> {
        let dir = process.dir.thread(process.speaker())?;
        let stat = crate::proc::stat::read(&dir, buffer)?;
        Ok((dir, stat))
    };
    let of_thread = process.has_dead_leader().then(of_thread).transpose()?;
    let (dir, stat) = of_thread.as_ref().map_or((&process.dir, &process.stat), |(dir, stat)| (dir, stat));
    Ok(MmEntry {
        mm_start_code: stat.start_code,
        mm_end_code: stat.end_code,
        mm_start_data: stat.start_data,
        mm_end_data: stat.end_data,
        mm_start_stack: stat.start_stack,
        mm_start_brk: stat.start_brk,
        mm_brk: inside.brk,
        mm_arg_start: stat.arg_start,
        mm_arg_end: stat.arg_end,
        mm_env_start: stat.env_start,
        mm_env_end: stat.env_end,
        exe_file_id,
        mm_saved_auxv: task::auxv(dir, task::Word::Eight, buffer)?,
        vmas,
        dumpable: Some(inside.dumpable),
        aios: inside.contexts.clone(),
        thp_disabled: Some(inside.thp_disable & 1 != 0),
    })
}

/// Completes the images. Signals that came for a tree that ends here are taken in, as long as there are new ones.
fn seal(out: &mut NewImageDir, tree: &mut [Process], after: AfterDump) -> Result<()> {
    /// A sender that never rests is left behind after so many looks.
    const LOOKS: usize = 16;
    let head = write::manifest_head()?;
    out.complete(&head)?;
    fault::point("sealed")?;
    if after == AfterDump::Run {
        return Ok(());
    }
    for _ in 0..LOOKS {
        let changed = queues::changed(tree)?;
        if changed.is_empty() {
            break;
        }
        out.withdraw()?;
        queues::rewrite(tree, changed, out)?;
        out.complete(&head)?;
    }
    Ok(())
}

/// What every process is killed by, where it is: opened before the last look at its signals.
fn pidfds(tree: &[Process], after: AfterDump) -> Vec<OwnedFd> {
    let killed = tree.iter().filter(|_| after == AfterDump::Kill);
    killed.filter_map(|process| sys::pidfd::open(process.pid).ok()).collect()
}

/// Kills the tree, leaves it stopped, or lets it go on.
fn finish(tree: Vec<Process>, pidfds: &[OwnedFd], after: AfterDump) -> Result<()> {
    match after {
        AfterDump::Run => Ok(()),
        AfterDump::Stop => {
            for process in tree.iter().filter(|p| !p.is_zombie()) {
                let pid = process.pid;
                nix::sys::signal::kill(pid, nix::sys::signal::SIGSTOP).doing(|| format!("stop process {pid}"))?;
            }
            Ok(())
        }
        AfterDump::Kill => kill(tree, pidfds),
    }
}

/// Kills every process and waits until all are gone.
fn kill(tree: Vec<Process>, pidfds: &[OwnedFd]) -> Result<()> {
    for pidfd in pidfds {
        let _ = sys::pidfd::send_signal(pidfd.as_fd(), libc::SIGKILL);
    }
    for process in tree {
        // The end of a leader is reported after those of its threads.
        process.threads.into_iter().rev().for_each(|thread| thread.seized.reap());
    }
    for pidfd in pidfds {
        let _ = sys::pidfd::wait_gone(pidfd.as_fd(), 5000);
    }
    Ok(())
}
