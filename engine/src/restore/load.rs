//! Reading the images: everything but the pages, checked for what a restore relies on.

use crate::core_image;
use crate::error::{Error, Result};
use crate::image::proto::{
    CoreEntry, CredsEntry, FdTypes, FdinfoEntry, FileEntry, FsEntry, InventoryEntry, MmEntry, PstreeEntry,
    SeccompFilter, StasisMqueueEntry, StasisRestartEntry, StasisTaskEntry, StasisVmaFlags, TaskCoreEntry,
    TaskKobjIdsEntry, UtsnsEntry,
};
use crate::image::{ImageDir, PageMap, Verify, kinds};
use crate::kind::segment;
use crate::ns;
use crate::sys::{self, Pid};
use crate::vma::status;
use std::collections::{HashMap, HashSet};

/// The images of a tree.
pub struct Images {
    /// The directory.
    pub dir: ImageDir,
    /// The processes, parents before their children; the root first.
    pub tasks: Vec<TaskImage>,
    /// Files by id.
    pub files: HashMap<u32, FileEntry>,
    /// Descriptor tables by id.
    pub tables: HashMap<u32, Vec<FdinfoEntry>>,
    /// Page maps of shared memory without a file by id.
    pub segments: HashMap<u64, PageMap>,
    /// The namespaces that the tree had to itself.
    pub namespaces: ns::Numbers,
    /// What was in the IPC namespace that the tree had to itself.
    pub ipc: Option<ns::ipc::Images>,
    /// The POSIX message queues in it.
    pub queues: Vec<StasisMqueueEntry>,
    /// The names in its UTS namespace.
    pub uts: Option<UtsnsEntry>,
    /// Seccomp filters by number.
    pub filters: Vec<SeccompFilter>,
}

/// The images of a process.
pub struct TaskImage {
    /// Its place in the tree.
    pub entry: PstreeEntry,
    /// What belongs to the process as a whole.
    pub core: TaskCoreEntry,
    /// Its threads, the leader first; empty for a zombie.
    pub threads: Vec<ThreadImage>,
    /// The signal that its parent gets at its end, where it is not SIGCHLD.
    pub exit_signal: Option<u32>,
    /// The credentials of a zombie, where the images have them.
    pub zombie_creds: Option<CredsEntry>,
    /// Its address space, descriptors, directories; none for a zombie.
    pub live: Option<LiveImage>,
}

/// What only a live process has.
pub struct LiveImage {
    /// The numbers of what it shares.
    pub ids: TaskKobjIdsEntry,
    /// Its address space.
    pub mm: MmEntry,
    /// Its saved pages.
    pub pages: PageMap,
    /// Its directories.
    pub fs: FsEntry,
}

/// The images of a thread.
pub struct ThreadImage {
    /// Its id.
    pub tid: Pid,
    /// Its core.
    pub core: CoreEntry,
    /// The call it was in, as the kernel left it.
    pub restart: Option<StasisRestartEntry>,
    /// What CRIU's messages have no field for.
    pub extra: StasisTaskEntry,
}

impl TaskImage {
    /// Its pid.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.entry.pid as i32)
    }

    /// Whether it has exited and not been waited for.
    pub fn is_zombie(&self) -> bool {
        self.live.is_none()
    }

    /// Whether its leader has exited while other threads live on.
    pub fn has_dead_leader(&self) -> bool {
        self.threads.first().is_some_and(|t| t.tid != self.pid())
    }
}

/// Reads and checks the images in a directory.
pub fn load(path: &std::path::Path) -> Result<Images> {
    let dir = ImageDir::open(path)?;
    if !dir.verify(Verify::Small)? {
        tracing::info!("the images have no manifest: made by CRIU, taken as they are");
    }
    let inventory = dir.inventory()?;
    check_machine(&dir)?;
    let restarts = optional_all(&dir, kinds::STASIS_RESTART.single())?;
    let mut restarts: HashMap<u32, StasisRestartEntry> = restarts.into_iter().map(|r| (r.tid, r)).collect();
    let extras: Vec<StasisTaskEntry> = optional_all(&dir, kinds::STASIS_TASK.single())?;
    let mut extras: HashMap<u32, StasisTaskEntry> = extras.into_iter().map(|e| (e.tid, e)).collect();
    let mut tasks = Vec::new();
    for entry in in_order(dir.read_all(kinds::PSTREE.single())?)? {
        tasks.push(load_task(&dir, entry, &mut restarts, &mut extras)?);
    }
    let numbers = namespaces(&inventory, &tasks)?;
    let ipc = numbers.ipc.map(|number| ns::ipc::Images::load(&dir, number)).transpose()?;
    let uts = numbers.uts.map(|number| dir.read_one(kinds::UTSNS.of(number))).transpose()?;
    let mut tables = HashMap::new();
    for live in tasks.iter().filter_map(|t| t.live.as_ref()) {
        let id = live.ids.files_id;
        if let std::collections::hash_map::Entry::Vacant(place) = tables.entry(id) {
            place.insert(dir.read_all(kinds::FDINFO.of(id))?);
        }
    }
    let files: Vec<FileEntry> = optional_all(&dir, kinds::FILES.single())?;
    let seccomp = dir.read_optional(kinds::SECCOMP.single())?.unwrap_or_default();
    let mut images = Images {
        tasks,
        files: files.into_iter().map(|f| (f.id, f)).collect(),
        tables,
        segments: HashMap::new(),
        filters: seccomp.seccomp_filters,
        namespaces: numbers,
        ipc,
        queues: optional_all(&dir, kinds::STASIS_MQUEUE.single())?,
        uts,
        dir,
    };
    images.load_segments()?;
    images.complete_memfds();
    Ok(images)
}

/// The namespaces that the tree had to itself: all of its processes are in the same.
fn namespaces(inventory: &InventoryEntry, tasks: &[TaskImage]) -> Result<ns::Numbers> {
    let Some(engine) = &inventory.root_ids else { return Ok(ns::Numbers::default()) };
    let mut all = tasks.iter().filter_map(|task| Some((task.pid(), ns::Numbers::of(engine, &task.live.as_ref()?.ids))));
    let Some((_, numbers)) = all.next() else { return Ok(ns::Numbers::default()) };
    match all.find(|(_, other)| *other != numbers) {
        None => Ok(numbers),
        Some((pid, _)) => {
            Err(Error::state(format!("process {pid} of the images is in other namespaces than the root")))
        }
    }
}

/// Reads all entries of a file that need not be there.
fn optional_all<M: prost::Message + prost::Name + Default>(
    dir: &ImageDir,
    name: crate::image::Name<M>,
) -> Result<Vec<M>> {
    match dir.open_file(&name.to_string())? {
        Some(_) => Ok(dir.read_all(name)?),
        None => Ok(Vec::new()),
    }
}

/// Images of another CPU or page size cannot be restored here.
fn check_machine(dir: &ImageDir) -> Result<()> {
    let Some(manifest) = dir.manifest() else { return Ok(()) };
    let head = manifest.head();
    if head.arch != stasis_arch::native::NAME {
        let what = format!("the images were made on {} and this machine is {}", head.arch, stasis_arch::native::NAME);
        return Err(Error::state(what).with_help("restore on a machine of the same architecture"));
    }
    if u64::from(head.page_size) != sys::page_size() {
        let what =
            format!("the images have pages of {} bytes and this kernel has {}", head.page_size, sys::page_size());
        return Err(Error::state(what));
    }
    Ok(())
}

/// The processes, each after its parent, whatever the order in the image.
fn in_order(entries: Vec<PstreeEntry>) -> Result<Vec<PstreeEntry>> {
    let mut left = entries;
    let mut ordered: Vec<PstreeEntry> = Vec::with_capacity(left.len());
    let mut known: HashSet<u32> = HashSet::from([0]);
    if left.iter().filter(|e| e.ppid == 0).count() != 1 {
        return Err(Error::state("the images do not hold exactly one root process"));
    }
    while !left.is_empty() {
        let before = left.len();
        let mut later = Vec::new();
        for entry in left {
            if entry.pid == 0 || entry.pid > i32::MAX as u32 || entry.threads.is_empty() {
                return Err(Error::state(format!("the images hold an impossible process {}", entry.pid)));
            }
            if known.contains(&entry.ppid) {
                if !known.insert(entry.pid) {
                    return Err(Error::state(format!("the images hold process {} twice", entry.pid)));
                }
                ordered.push(entry);
            } else {
                later.push(entry);
            }
        }
        if later.len() == before {
            return Err(Error::state("the images hold a process whose parent is missing"));
        }
        left = later;
    }
    ordered.sort_by_key(|e| e.ppid != 0);
    Ok(ordered)
}

fn load_task(
    dir: &ImageDir,
    entry: PstreeEntry,
    restarts: &mut HashMap<u32, StasisRestartEntry>,
    extras: &mut HashMap<u32, StasisTaskEntry>,
) -> Result<TaskImage> {
    const ZOMBIE: u32 = 6;
    const DEAD: u32 = 2;
    let pid = entry.pid;
    let mut threads = Vec::new();
    let mut task_core = None;
    for &tid in &entry.threads {
        let core: Option<CoreEntry> = dir.read_optional(kinds::CORE.of(tid))?;
        let Some(mut core) = core else {
            if tid == pid && entry.threads.len() > 1 {
                continue; // a leader that has exited
            }
            return Err(Error::state(format!("the images lack core-{tid}.img")));
        };
        core_image::check(&core)?;
        task_core = task_core.or(core.tc.take());
        threads.push(ThreadImage {
            tid: Pid::from_raw(tid as i32),
            core,
            restart: restarts.remove(&tid),
            extra: extras.remove(&tid).unwrap_or_default(),
        });
    }
    let core: TaskCoreEntry =
        task_core.ok_or_else(|| Error::state(format!("core-{pid}.img does not describe a process")))?;
    let exit_signal = threads.iter().find_map(|t| t.extra.exit_signal);
    if matches!(core.task_state, ZOMBIE | DEAD) {
        let zombie_creds = threads.first().and_then(|t| t.core.thread_core.as_ref()).and_then(|c| c.creds.clone());
        return Ok(TaskImage { entry, core, threads: Vec::new(), exit_signal, zombie_creds, live: None });
    }
    // With a dead leader its core may stand first in the images and hold no registers.
    threads.retain(|t| core_image::has_registers(&t.core));
    if threads.is_empty() {
        return Err(Error::state(format!("process {pid} of the images has no thread with registers")));
    }
    let mut mm: MmEntry = dir.read_one(kinds::MM.of(pid))?;
    complete_areas(&mut mm, &threads[0].extra);
    let pages = PageMap::read(dir, kinds::PAGEMAP.of(pid), sys::page_size())?
        .ok_or_else(|| Error::state(format!("the images lack pagemap-{pid}.img")))?;
    let live = LiveImage { ids: dir.read_one(kinds::IDS.of(pid))?, mm, pages, fs: dir.read_one(kinds::FS.of(pid))? };
    check_areas(pid, &live)?;
    Ok(TaskImage { entry, core, threads, exit_signal, zombie_creds: None, live: Some(live) })
}

/// Adds what Stasis' own file says of areas: those that once were writable, and protection that only this CPU has.
fn complete_areas(mm: &mut MmEntry, extra: &StasisTaskEntry) {
    let flags: HashMap<u64, &StasisVmaFlags> = extra.vma_flags.iter().map(|flags| (flags.start, flags)).collect();
    for vma in &mut mm.vmas {
        vma.status &= !status::ACCOUNTED;
        let Some(flags) = flags.get(&vma.start) else { continue };
        vma.prot |= flags.prot.unwrap_or(0);
        if flags.accounted == Some(true) {
            vma.status |= status::ACCOUNTED;
        }
    }
}

/// Areas must be whole pages, ascending and apart; saved pages must lie in them.
fn check_areas(pid: u32, live: &LiveImage) -> Result<()> {
    let page = sys::page_size();
    let mut before = 0;
    for vma in &live.mm.vmas {
        let aligned = vma.start % page == 0 && vma.end % page == 0;
        if !aligned || vma.start >= vma.end || vma.start < before {
            let what = format!("mm-{pid}.img holds an impossible area {:x}-{:x}", vma.start, vma.end);
            return Err(Error::state(what));
        }
        before = vma.end;
        let fixed = vma.status & status::VSYSCALL != 0;
        if !fixed && vma.end > stasis_arch::native::ADDRESS_LIMIT {
            return Err(Error::state(format!("mm-{pid}.img holds an area beyond the address space: {:x}", vma.start)));
        }
    }
    Ok(())
}

impl Images {
    /// CRIU says only of an area that its memory file was open for writing, and not of the file.
    fn complete_memfds(&mut self) {
        let in_tables: HashSet<u32> = self.tables.values().flatten().map(|fd| fd.id).collect();
        for vma in self.tasks.iter().filter_map(|t| t.live.as_ref()).flat_map(|live| &live.mm.vmas) {
            let (id, mode) = (vma.shmid as u32, vma.fdflags.unwrap_or(0) & libc::O_ACCMODE as u32);
            if vma.status & status::MEMFD != 0
                && mode == libc::O_RDWR as u32
                && !in_tables.contains(&id)
                && let Some(memfd) = self.files.get_mut(&id).and_then(|file| file.memfd.as_mut())
            {
                memfd.flags = mode;
            }
        }
    }

    /// Whether a file is an io_uring instance.
    pub fn is_ring(&self, id: u32) -> bool {
        self.files.get(&id).is_some_and(|file| file.r#type() == FdTypes::IoUring)
    }

    /// Reads the page maps of all shared memory that areas name.
    fn load_segments(&mut self) -> Result<()> {
        let mut ids = HashSet::new();
        for live in self.tasks.iter().filter_map(|t| t.live.as_ref()) {
            let shared = live.mm.vmas.iter().filter(|v| v.status & status::ANON_SHARED != 0);
            ids.extend(shared.map(|v| v.shmid));
        }
        let sysv = self.ipc.iter().flat_map(|ipc| &ipc.segments);
        ids.extend(sysv.filter(|(s, _)| s.in_pagemaps == Some(true)).map(|(s, _)| u64::from(s.desc.id)));
        for id in ids {
            if let Some(map) = segment::map(&self.dir, id)? {
                self.segments.insert(id, map);
            }
        }
        Ok(())
    }
}
