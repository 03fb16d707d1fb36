//! An images directory on one page: the tree, memory by kind, descriptors by type.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;

use super::dir::ImageDir;
use super::error::{ImageError, Result};
use super::kinds::*;
use super::pagemap::{PageMap, Run, Source};
use super::proto::core_entry::March;
use super::proto::{FdTypes, MmEntry, PstreeEntry, VmaEntry};

/// Bytes of a page where no manifest says it: the usual size, and that of every machine CRIU's images come from here.
const USUAL_PAGE: u64 = 4096;
/// Tasks that the page lists; a larger tree is cut.
const LISTED: usize = 40;

/// What a directory holds, in a page. Sizes are in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The directory as the user gave it.
    pub directory: String,
    /// Files of the image.
    pub files: usize,
    /// Bytes of them all; without a manifest absent.
    pub bytes: Option<u64>,
    /// Whether a manifest says that the dump is complete. Another engine's directories have none.
    pub manifest: bool,
    /// Id of the dump.
    pub run_id: Option<String>,
    /// CPU of the root task, as the format names it.
    pub cpu: Option<String>,
    /// Kernel of the dump; without a manifest absent.
    pub kernel: Option<String>,
    /// The tree, parents before children.
    pub tasks: Vec<Task>,
    /// Memory of all tasks, by kind of area.
    pub memory: Vec<Memory>,
    /// Shared segments and memory files that were saved.
    pub segments: Segments,
}

/// A task.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    /// Its pid.
    pub pid: u32,
    /// Its parent's pid, 0 for the root.
    pub ppid: u32,
    /// Its process group.
    pub pgid: u32,
    /// Its session.
    pub sid: u32,
    /// Number of its ancestors in the image.
    pub depth: usize,
    /// Number of its threads.
    pub threads: usize,
    /// Its state.
    pub state: &'static str,
    /// Name of its leader, unprintable characters escaped.
    pub comm: String,
    /// Number of its areas.
    pub areas: usize,
    /// Bytes of its areas.
    pub mapped: u64,
    /// Bytes of its pages that were saved, shared segments left out.
    pub saved: u64,
    /// Number of its descriptors by type.
    pub descriptors: BTreeMap<String, usize>,
}

/// Areas of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// The kind.
    pub kind: &'static str,
    /// Number of areas.
    pub areas: usize,
    /// Bytes of them.
    pub mapped: u64,
    /// Bytes of their pages that were saved.
    pub saved: u64,
}

/// Segments that several tasks may map.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Segments {
    /// Number of segments.
    pub count: usize,
    /// Bytes of their pages that were saved.
    pub saved: u64,
}

impl Summary {
    /// Reads what the summary is made of. An absent file leaves a part empty; a damaged one is an error.
    pub fn read(dir: &ImageDir) -> Result<Self> {
        let inventory = dir.inventory()?;
        let manifest = dir.manifest();
        let head = manifest.map(|m| m.head());
        let page_size = head.as_ref().map_or(USUAL_PAGE, |h| h.page_size.into());
        let files = dir.files()?;
        let mut memory = BTreeMap::new();
        let mut depths = HashMap::new();
        let mut tasks = Vec::new();
        for entry in dir.read_all::<PstreeEntry>(PSTREE.single())? {
            let depth = depths.get(&entry.ppid).map_or(0, |depth: &usize| depth + 1);
            depths.insert(entry.pid, depth);
            tasks.push(Task::read(dir, &entry, depth, page_size, &mut memory)?);
        }
        Ok(Self {
            directory: dir.path().display().to_string(),
            files: files.iter().filter(|name| by_file_name(name).is_some()).count(),
            bytes: manifest.map(|m| m.files().iter().fold(0, |sum: u64, f| sum.saturating_add(f.size))),
            manifest: manifest.is_some(),
            run_id: inventory.dump_criu_run_id,
            cpu: root_cpu(dir, tasks.first())?,
            kernel: head.map(|h| h.kernel),
            tasks,
            memory: memory.into_values().collect(),
            segments: Segments::read(dir, &files, page_size)?,
        })
    }
}

fn root_cpu(dir: &ImageDir, root: Option<&Task>) -> Result<Option<String>> {
    let Some(root) = root else { return Ok(None) };
    let core = dir.read_optional(CORE.of(root.pid))?;
    Ok(core.and_then(|core| March::try_from(core.mtype).ok()).map(|march| march.as_str_name().to_owned()))
}

type MemoryByKind = BTreeMap<&'static str, Memory>;

impl Task {
    fn read(
        dir: &ImageDir,
        tree: &PstreeEntry,
        depth: usize,
        page_size: u64,
        memory: &mut MemoryByKind,
    ) -> Result<Self> {
        let core = dir.read_optional(CORE.of(tree.pid))?.and_then(|core| core.tc);
        let ids = dir.read_optional(IDS.of(tree.pid))?;
        let mut descriptors = BTreeMap::new();
        if let Some(ids) = ids {
            for fd in dir.read_all(FDINFO.of(ids.files_id))? {
                let kind = FdTypes::try_from(fd.r#type).map_or("unknown", |kind| kind.as_str_name());
                *descriptors.entry(kind.to_owned()).or_default() += 1;
            }
        }
        let mut task = Self {
            pid: tree.pid,
            ppid: tree.ppid,
            pgid: tree.pgid,
            sid: tree.sid,
            depth,
            threads: tree.threads.len(),
            state: core.as_ref().map_or("unknown", |core| state(core.task_state)),
            comm: core.map_or(String::new(), |core| printable(&core.comm)),
            areas: 0,
            mapped: 0,
            saved: 0,
            descriptors,
        };
        if let Some(mm) = dir.read_optional(MM.of(tree.pid))? {
            let pages = PageMap::read(dir, PAGEMAP.of(tree.pid), page_size)?;
            let runs = pages.map(|pages| pages.runs).unwrap_or_default();
            task.count(&mm, &runs, page_size, memory)
                .map_err(|what| ImageError::invalid(dir.file(&MM.of(tree.pid).to_string()), 0, what))?;
        }
        Ok(task)
    }

    /// Adds areas, and of the runs, which are in ascending order, the part that lies in each.
    fn count(&mut self, mm: &MmEntry, runs: &[Run], page_size: u64, memory: &mut MemoryByKind) -> Result<(), String> {
        for vma in &mm.vmas {
            let Some(mapped) = vma.end.checked_sub(vma.start) else {
                return Err(format!("the area at {:#x} ends before it starts", vma.start));
            };
            let end = |run: &Run| run.vaddr + run.pages * page_size;
            let first = runs.partition_point(|run| end(run) <= vma.start);
            let inside = runs[first..].iter().take_while(|run| run.vaddr < vma.end);
            let saved = inside
                .filter(|run| matches!(run.source, Source::Saved { .. }))
                .map(|run| end(run).min(vma.end) - run.vaddr.max(vma.start))
                .fold(0, u64::saturating_add);
            let kind = area_kind(vma);
            let sum = memory.entry(kind).or_insert(Memory { kind, areas: 0, mapped: 0, saved: 0 });
            sum.areas += 1;
            sum.mapped = sum.mapped.saturating_add(mapped);
            sum.saved = sum.saved.saturating_add(saved);
            self.areas += 1;
            self.mapped = self.mapped.saturating_add(mapped);
            self.saved = self.saved.saturating_add(saved);
        }
        Ok(())
    }
}

impl Segments {
    fn read(dir: &ImageDir, files: &[String], page_size: u64) -> Result<Self> {
        let mut segments = Self::default();
        for id in files.iter().filter_map(|name| PAGEMAP_SHMEM.kind().matches(name)?) {
            let pages = PageMap::read(dir, PAGEMAP_SHMEM.of(id), page_size)?;
            segments.count += 1;
            segments.saved = segments.saved.saturating_add(pages.map_or(0, |pages| pages.saved));
        }
        Ok(segments)
    }
}

fn state(task_state: u32) -> &'static str {
    match task_state {
        1 => "alive",
        2 => "dead",
        3 => "stopped",
        6 => "zombie",
        _ => "unknown",
    }
}

/// The kind of an area in words. Special areas first: they carry the bits of plain ones too.
fn area_kind(vma: &VmaEntry) -> &'static str {
    const KINDS: [(u32, &str); 16] = [
        (2, "vsyscall"),
        (3, "vdso"),
        (12, "vvar"),
        (5, "heap"),
        (1, "stack"),
        (15, "shadow stack"),
        (10, "SysV shared memory"),
        (13, "AIO ring"),
        (14, "memory file or shared"),
        (11, "socket"),
        (16, "guard"),
        (17, "uprobes"),
        (6, "file, private"),
        (7, "file, shared"),
        (8, "memory file or shared"),
        (9, "anonymous"),
    ];
    let grows_down = vma.flags & libc::MAP_GROWSDOWN as u32 != 0;
    let status = vma.status | if grows_down { 1 << 1 } else { 0 };
    KINDS.iter().find(|(bit, _)| status >> bit & 1 != 0).map_or("other", |(_, kind)| kind)
}

/// A name of any bytes, harmless to a terminal.
fn printable(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Bytes in the unit that suits them.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while size >= 1023.95 && unit + 1 < units.len() {
            size /= 1024.0;
            unit += 1;
        }
        f.pad(&format!("{size:.1} {}", units[unit]))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.directory)?;
        let unknown = |text: &Option<String>| text.as_deref().map_or("unknown".into(), |t| printable(t.as_bytes()));
        writeln!(f, "  run       {}", unknown(&self.run_id))?;
        writeln!(f, "  cpu       {}", unknown(&self.cpu))?;
        writeln!(f, "  kernel    {}", unknown(&self.kernel))?;
        let files = self.files;
        match self.bytes {
            Some(bytes) => writeln!(f, "  manifest  complete, {files} files of {}", Bytes(bytes))?,
            None => writeln!(f, "  manifest  none: another engine's image of {files} files")?,
        }
        self.fmt_tasks(f)?;
        self.fmt_memory(f)?;
        self.fmt_descriptors(f)
    }
}

impl Summary {
    fn fmt_more(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tasks.len().checked_sub(LISTED) {
            Some(more) if more > 0 => writeln!(f, "  … and {more} more"),
            _ => Ok(()),
        }
    }

    fn fmt_tasks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads: usize = self.tasks.iter().map(|t| t.threads).sum();
        writeln!(f, "\ntasks: {}, threads: {threads}", self.tasks.len())?;
        let columns = ["pid", "ppid", "pgid", "sid", "threads", "state", "areas", "mapped", "saved"];
        let [pid, ppid, pgid, sid, count, state, areas, mapped, saved] = columns;
        writeln!(
            f,
            "  {pid:>7} {ppid:>7} {pgid:>7} {sid:>7} {count:>7}  {state:<7} {areas:>6} {mapped:>10} {saved:>10}  name"
        )?;
        for task in self.tasks.iter().take(LISTED) {
            let Task { pid, ppid, pgid, sid, threads, state, areas, comm, .. } = task;
            let (mapped, saved) = (Bytes(task.mapped), Bytes(task.saved));
            let indent = 2 * task.depth.min(20);
            writeln!(
                f,
                "  {pid:>7} {ppid:>7} {pgid:>7} {sid:>7} {threads:>7}  {state:<7} {areas:>6} {mapped:>10} {saved:>10}  \
                 {:indent$}{comm}",
                ""
            )?;
        }
        self.fmt_more(f)
    }

    fn fmt_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nmemory {:>24} {:>10} {:>10}", "areas", "mapped", "saved")?;
        let line = |f: &mut fmt::Formatter<'_>, kind, areas, mapped, saved| {
            writeln!(f, "  {kind:<22} {areas:>6} {:>10} {:>10}", Bytes(mapped), Bytes(saved))
        };
        let mut total = (0, 0u64, 0u64);
        for Memory { kind, areas, mapped, saved } in &self.memory {
            line(f, kind, *areas, *mapped, *saved)?;
            total = (total.0 + areas, total.1.saturating_add(*mapped), total.2.saturating_add(*saved));
        }
        line(f, &"total", total.0, total.1, total.2)?;
        let Segments { count, saved } = self.segments;
        writeln!(f, "  shared segments and memory files: {count} with {} saved", Bytes(saved))
    }

    fn fmt_descriptors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\ndescriptors")?;
        for task in self.tasks.iter().take(LISTED) {
            let types: Vec<_> = task.descriptors.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            let types = if types.is_empty() { "none".to_owned() } else { types.join(", ") };
            writeln!(f, "  {:>7}  {types}", task.pid)?;
        }
        self.fmt_more(f)
    }
}
