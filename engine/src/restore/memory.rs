//! The memory stage: every task maps its own areas and reads its own pages straight into place.

use super::crew::{Program, run_all};
use super::files::{Given, hand_out};
use super::load::{Images, LiveImage, TaskImage};
use super::segments::Segments;
use super::tree::Tree;
use crate::error::{Doing, Error, Result};
use crate::image::kinds;
use crate::image::pagemap::{Run, Source};
use crate::image::proto::VmaEntry;
use crate::kind::RestoreContext;
use crate::sys;
use crate::vma::status;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What a task needs a descriptor for while its address space is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// A pages file.
    Pages(u32),
    /// Shared anonymous memory.
    Segment(u64),
    /// A file of files.img.
    File(u32),
}

/// The numbers of those descriptors in one table.
pub type Numbers = HashMap<Need, i32>;

/// The most that preadv(2) takes at once, in bytes and in vectors.
const READ_LIMIT: u64 = 1 << 30;
const VECTORS: usize = 512;

/// Builds the address spaces of all live tasks. Returns the numbers of the descriptors that each table now holds.
pub fn build(
    images: &Images,
    tree: &Tree,
    cx: &RestoreContext<'_>,
    segments: &Segments,
) -> Result<HashMap<u32, Numbers>> {
    let tables = numbers(images);
    let mut pages: HashMap<u32, Arc<OwnedFd>> = HashMap::new();
    let mut work = Vec::new();
    for (i, live) in owners(images) {
        let mut given = Vec::new();
        for (&need, &number) in &tables[&live.ids.files_id] {
            let file = match need {
                Need::File(id) => cx.open.get(&id).cloned(),
                Need::Segment(id) => segments.file(id),
                Need::Pages(id) => Some(pages_file(images, id, &mut pages)?),
            };
            let file = file.ok_or_else(|| Error::state(format!("the images lack {need:?}")))?;
            given.push(Given { number, file, cloexec: false, asynchronous: None });
        }
        work.push((&tree.leaders[i], given));
    }
    hand_out(&tree.layout, work)?;
    let mut programs = Vec::new();
    for (i, task) in images.tasks.iter().enumerate() {
        if let Some(live) = &task.live {
            let program = program(tree, task, live, &tables[&live.ids.files_id])?;
            programs.push((&tree.leaders[i], program));
        }
    }
    run_all(tree.layout.stub(), &mut programs)?;
    Ok(tables)
}

/// The same, while another thread compares the pages files with their checksums.
pub fn build_and_verify(
    images: &Images,
    tree: &Tree,
    cx: &RestoreContext<'_>,
    segments: &Segments,
) -> Result<HashMap<u32, Numbers>> {
    std::thread::scope(|scope| {
        let verified = scope.spawn(|| images.dir.verify(crate::image::Verify::All));
        let built = build(images, tree, cx, segments);
        let verified = verified.join().map_err(|_| Error::state("the check of the pages files failed"))?;
        let tables = built?;
        verified?;
        Ok(tables)
    })
}

/// For each descriptor table the first process that has it.
pub fn owners(images: &Images) -> Vec<(usize, &LiveImage)> {
    let mut seen = std::collections::HashSet::new();
    let live = images.tasks.iter().enumerate().filter_map(|(i, t)| t.live.as_ref().map(|live| (i, live)));
    live.filter(|(_, live)| seen.insert(live.ids.files_id)).collect()
}

fn pages_file(images: &Images, id: u32, open: &mut HashMap<u32, Arc<OwnedFd>>) -> Result<Arc<OwnedFd>> {
    if let Some(file) = open.get(&id) {
        return Ok(file.clone());
    }
    let (file, _) = images.dir.raw(kinds::PAGES.of(id))?;
    let file = Arc::new(OwnedFd::from(file));
    open.insert(id, file.clone());
    Ok(file)
}

/// Numbers what each table's tasks need, from 0.
fn numbers(images: &Images) -> HashMap<u32, Numbers> {
    let mut tables: HashMap<u32, Numbers> = HashMap::new();
    for live in images.tasks.iter().filter_map(|t| t.live.as_ref()) {
        let table = tables.entry(live.ids.files_id).or_default();
        let mut add = |need| {
            let next = table.len() as i32;
            table.entry(need).or_insert(next);
        };
        if live.pages.saved > 0 {
            add(Need::Pages(live.pages.pages_id));
        }
        for id in [live.fs.cwd_id, live.fs.root_id, live.mm.exe_file_id] {
            add(Need::File(id));
        }
        live.mm.vmas.iter().filter_map(need_of).for_each(add);
    }
    tables
}

/// What an area is mapped from.
fn need_of(vma: &VmaEntry) -> Option<Need> {
    if vma.status & (status::ANON_SHARED | status::MEMFD) != 0 {
        Some(Need::Segment(vma.shmid))
    } else if vma.status & (status::FILE_PRIVATE | status::FILE_SHARED) != 0 {
        Some(Need::File(vma.shmid as u32))
    } else {
        None
    }
}

fn program(tree: &Tree, task: &TaskImage, live: &LiveImage, numbers: &Numbers) -> Result<Program> {
    let mut program = Program::new(&tree.layout);
    super::vdso::place(&mut program, tree, live)?;
    for vma in &live.mm.vmas {
        map(&mut program, task, vma, numbers)?;
    }
    if live.pages.saved > 0 {
        fill(&mut program, live, numbers[&Need::Pages(live.pages.pages_id)] as u64)?;
    }
    let on_fault: Vec<u64> =
        task.threads[0].extra.vma_flags.iter().filter(|f| f.lockonfault == Some(true)).map(|f| f.start).collect();
    live.mm.vmas.iter().for_each(|vma| advise(&mut program, vma, on_fault.contains(&vma.start)));
    extras(&mut program, task);
    seal(&mut program, task);
    Ok(program)
}

/// Whether an area is the kernel's own.
fn is_special(vma: &VmaEntry) -> bool {
    vma.status & (status::VDSO | status::VVAR | status::VSYSCALL) != 0
}

fn map(program: &mut Program, task: &TaskImage, vma: &VmaEntry, numbers: &Numbers) -> Result<()> {
    if is_special(vma) {
        return Ok(());
    }
    let known = status::FILE_PRIVATE | status::FILE_SHARED | status::ANON_PRIVATE | status::ANON_SHARED | status::MEMFD;
    let refused = status::SYSV | status::SOCKET | status::AIO_RING | status::SHADOW_STACK | status::UPROBES;
    if vma.status & known == 0 || vma.status & refused != 0 {
        let what = format!(
            "process {}: the area {:x}-{:x} is of a kind that is not supported yet",
            task.pid(),
            vma.start,
            vma.end
        );
        return Err(Error::state(what));
    }
    let kept = libc::MAP_SHARED
        | libc::MAP_PRIVATE
        | crate::vma::MAP_DROPPABLE
        | libc::MAP_ANONYMOUS
        | libc::MAP_GROWSDOWN
        | libc::MAP_NORESERVE
        | libc::MAP_HUGETLB
        | libc::MAP_HUGE_MASK << libc::MAP_HUGE_SHIFT;
    let mut flags = vma.flags as i32 & kept | libc::MAP_FIXED_NOREPLACE;
    let (fd, offset) = match need_of(vma) {
        None => (u64::MAX, 0),
        Some(need) => {
            flags &= !(libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | libc::MAP_HUGE_MASK << libc::MAP_HUGE_SHIFT);
            (numbers[&need] as u64, vma.pgoff)
        }
    };
    let args = [vma.start, vma.end - vma.start, u64::from(vma.prot), flags as u64, fd, offset];
    program.room(1, 0).call_for(libc::SYS_mmap, &args, vma.start as i64);
    Ok(())
}

/// Adds the reads of all saved pages. Memory that the program may not write is opened for the moment of the read.
fn fill(program: &mut Program, live: &LiveImage, file: u64) -> Result<()> {
    let page = sys::page_size();
    let mut reader = Reader { file, vectors: Vec::new(), offset: 0, len: 0 };
    let mut vmas = live.mm.vmas.iter().peekable();
    for run in &live.pages.runs {
        let Source::Saved { mut offset } = run.source else {
            return Err(Error::state("the pages are in a parent directory; such images are not supported yet"));
        };
        let (mut at, end) = (run.vaddr, run.vaddr + run.pages * page);
        while at < end {
            while vmas.next_if(|v| v.end <= at).is_some() {}
            let vma = vmas.peek().filter(|v| v.start <= at).ok_or_else(|| outside(run))?;
            let stop = end.min(vma.end);
            // The running kernel's own vDSO takes the place of the saved one.
            if !is_special(vma) {
                let writable = vma.prot & libc::PROT_WRITE as u32 != 0;
                if writable {
                    reader.add(program, at, stop - at, offset);
                } else {
                    reader.flush(program);
                    let prot = u64::from(vma.prot);
                    let open = prot | libc::PROT_WRITE as u64 | libc::PROT_READ as u64;
                    program.call(libc::SYS_mprotect, &[at, stop - at, open]);
                    reader.add(program, at, stop - at, offset);
                    reader.flush(program);
                    program.call(libc::SYS_mprotect, &[at, stop - at, prot]);
                }
            }
            offset += stop - at;
            at = stop;
        }
    }
    reader.flush(program);
    Ok(())
}

fn outside(run: &Run) -> Error {
    Error::state(format!("the images hold pages at {:#x}, where no area is", run.vaddr))
}

/// Collects reads that lie together in the file into one call.
struct Reader {
    file: u64,
    vectors: Vec<(u64, u64)>,
    offset: u64,
    len: u64,
}

impl Reader {
    fn add(&mut self, program: &mut Program, mut at: u64, mut len: u64, mut offset: u64) {
        while len > 0 {
            if self.offset + self.len != offset || self.vectors.len() == VECTORS || self.len >= READ_LIMIT {
                self.flush(program);
                self.offset = offset;
            }
            let part = len.min(READ_LIMIT - self.len);
            self.vectors.push((at, part));
            self.len += part;
            at += part;
            len -= part;
            offset += part;
        }
    }

    fn flush(&mut self, program: &mut Program) {
        if !self.vectors.is_empty() {
            let bytes: Vec<u8> =
                self.vectors.iter().flat_map(|(at, len)| [at.to_ne_bytes(), len.to_ne_bytes()].concat()).collect();
            let batch = program.room(1, bytes.len() + 16);
            let vectors = batch.put(&bytes);
            let args = [self.file, vectors.0, self.vectors.len() as u64, self.offset, 0];
            batch.call_for(libc::SYS_preadv, &args, self.len as i64);
        }
        self.vectors.clear();
        self.len = 0;
    }
}

/// Repeats the advice in force.
fn advise(program: &mut Program, vma: &VmaEntry, on_fault: bool) {
    if is_special(vma) {
        return;
    }
    let bits = vma.madv.unwrap_or(0);
    for advice in (0..64).filter(|n| bits & 1 << n != 0) {
        program.call(libc::SYS_madvise, &[vma.start, vma.end - vma.start, advice]);
    }
    if vma.flags & libc::MAP_LOCKED as u32 != 0 || on_fault {
        const MLOCK_ONFAULT: u64 = 1;
        program.call(libc::SYS_mlock2, &[vma.start, vma.end - vma.start, if on_fault { MLOCK_ONFAULT } else { 0 }]);
    }
}

/// What CRIU's messages have no field for: names of areas, locking on fault.
fn extras(program: &mut Program, task: &TaskImage) {
    const PR_SET_VMA: u64 = 0x5356_4d41;
    let Some(extra) = task.threads.first().map(|t| &t.extra) else { return };
    let end_of =
        |start: u64| task.live.as_ref().and_then(|l| l.mm.vmas.iter().find(|v| v.start == start)).map(|v| v.end);
    for guard in &extra.guards {
        const MADV_GUARD_INSTALL: u64 = 102;
        program.call(libc::SYS_madvise, &[guard.start, guard.end - guard.start, MADV_GUARD_INSTALL]);
    }
    for name in &extra.vma_names {
        if let Some(end) = end_of(name.start) {
            let mut text = name.name.clone();
            text.push(0);
            let batch = program.room(1, text.len() + 16);
            let at = batch.put(&text);
            batch.try_call(libc::SYS_prctl, &[PR_SET_VMA, 0, name.start, end - name.start, at.0]);
        }
    }
}

/// Seals what was sealed, after everything else was done to it.
fn seal(program: &mut Program, task: &TaskImage) {
    const MSEAL: i64 = 462;
    for flags in task.threads[0].extra.vma_flags.iter().filter(|f| f.sealed == Some(true)) {
        program.call(MSEAL, &[flags.start, flags.end - flags.start, 0]);
    }
}

/// Opens a directory as the root of paths.
pub fn root(options: &crate::options::RestoreOptions) -> Result<OwnedFd> {
    let path = options.root.clone().unwrap_or_else(|| "/".into());
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
    nix::fcntl::open(&path, flags, nix::sys::stat::Mode::empty()).doing(|| format!("open the root {}", path.display()))
}
