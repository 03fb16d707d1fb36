//! The memory stage: every task maps its own areas and reads its own pages straight into place, but for what it has
//! inherited already.

use super::classes::Area;
use super::cow::{Plan, State};
use super::crew::{Program, run_all};
use super::load::{Images, LiveImage, TaskImage};
use super::moves::Move;
use super::namespaces;
use super::needs::{self, Need, Needs, Numbers};
use super::seed::Layout;
use super::spans::Spans;
use super::tree::Tree;
use super::vdso::{self, Running};
use crate::error::{Doing, Error, Result};
use crate::image::pagemap::{Run, Source};
use crate::image::proto::VmaEntry;
use crate::parallel;
use crate::proc::thp;
use crate::sys;
use crate::vma::status;
use std::os::fd::OwnedFd;

/// The most that preadv(2) takes at once, in bytes and in vectors.
const READ_LIMIT: u64 = 1 << 30;
const VECTORS: usize = 512;

/// Builds the address spaces of all live tasks upon what they inherited.
pub fn build(images: &Images, tree: &Tree, needs: &Needs, plan: &Plan) -> Result<()> {
    let running = Running::read(tree)?;
    let mut programs = Vec::new();
    let mut fits = Vec::new();
    for (i, task) in images.tasks.iter().enumerate() {
        let Some(live) = &task.live else { continue };
        let member = &tree.leaders[i];
        let fit = running.fit(tree, task, live, needs)?;
        let mut program = Program::new(&tree.layout);
        let inherited = inherit(&mut program, live, plan, i);
        inherited.clear(&mut program);
        fit.place(&mut program, &running);
        let whole = Whole { images, layout: &tree.layout, task, live, numbers: &needs.numbers };
        own(&mut program, &whole, &inherited)?;
        programs.push((member, program));
        fits.push((member, fit));
    }
    run_all(tree.layout.stub(), &mut programs)?;
    vdso::finish(tree, fits)
}

/// The same, while another thread compares the pages files with their checksums.
pub fn build_and_verify(images: &Images, tree: &Tree, needs: &Needs, plan: &Plan) -> Result<()> {
    if !parallel::is_worth_threads(images.dir.bytes()) {
        images.dir.verify(crate::image::Verify::All)?;
        return build(images, tree, needs, plan);
    }
    std::thread::scope(|scope| {
        let verified = scope.spawn(|| images.dir.verify(crate::image::Verify::All));
        let built = build(images, tree, needs, plan);
        let verified = verified.join().map_err(|_| Error::state("the check of the pages files failed"))?;
        built?;
        verified?;
        Ok(())
    })
}

/// Adds the moves of what a task has inherited elsewhere.
fn inherit(program: &mut Program, live: &LiveImage, plan: &Plan, i: usize) -> Inherited {
    let Some(settled) = plan.settled(i) else {
        let (state, classes) = plan.at_birth(i);
        return Inherited::of(live, state, classes);
    };
    for Move { from, to, len } in settled.moves {
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
        program.room(1, 0).call_for(libc::SYS_mremap, &[from, len, len, flags, to], to as i64);
    }
    Inherited::of(live, &settled.state, &settled.classes)
}

/// What a task has inherited and what becomes of it.
#[derive(Default)]
struct Inherited {
    /// Areas, or parts, that the task does not have.
    gone: Spans<Area>,
    /// Those that it has too, maybe with another protection: whole, or the first part, which is made to grow. The kernel
    /// would not join two parts of an area that was inherited and one that was not, and the program could not move it.
    kept: Spans<Area>,
    /// The pages in them that are its own.
    right: Spans<u32>,
    /// The pages in them in whose place it has none of its own.
    stale: Spans<u32>,
}

impl Inherited {
    fn of(live: &LiveImage, state: &State, classes: &Spans<u32>) -> Inherited {
        if state.areas.is_empty() {
            return Inherited::default();
        }
        let mut inherited = Inherited::default();
        for vma in &live.mm.vmas {
            let Some(own) = Area::of(vma) else { continue };
            let fitting = state.areas.over(vma.start, vma.end).filter(|have| have.value.fits(&own));
            let mut kept = Spans::default();
            fitting.for_each(|have| kept.push(have.start, have.end, have.value));
            let whole = match kept.gaps(vma.start, vma.end)[..] {
                [] => state.joins(vma.start, vma.end),
                [(end, to)] if to == vma.end => state.in_one_piece(vma.start, end).is_some(),
                _ => false,
            };
            let holds = kept.iter().flat_map(|have| state.holds.over(have.start, have.end));
            let mut useful =
                holds.flat_map(|hold| classes.over(hold.start, hold.end).filter(move |c| c.value == hold.value));
            if whole && useful.next().is_some() {
                kept.iter().for_each(|have| inherited.kept.push(have.start, have.end, have.value));
            }
        }
        inherited.gone = state.areas.without(&inherited.kept);
        let mut saved = Spans::default();
        for run in &live.pages.runs {
            saved.push(run.vaddr, run.vaddr + run.pages * sys::page_size(), ());
        }
        let holds = state.holds.without(&inherited.gone);
        for hold in holds.iter() {
            for own in classes.over(hold.start, hold.end).filter(|own| own.value == hold.value) {
                inherited.right.push(own.start, own.end, own.value);
            }
        }
        inherited.stale = holds.without(&saved);
        inherited
    }

    /// Adds the calls that remove what is not the task's own.
    fn clear(&self, program: &mut Program) {
        for gone in self.gone.iter() {
            program.call(libc::SYS_munmap, &[gone.start, gone.end - gone.start]);
        }
        for stale in self.stale.iter() {
            program.call(libc::SYS_madvise, &[stale.start, stale.end - stale.start, libc::MADV_DONTNEED as u64]);
        }
    }
}

/// A task, and what its areas are mapped from.
struct Whole<'a> {
    images: &'a Images,
    layout: &'a Layout,
    task: &'a TaskImage,
    live: &'a LiveImage,
    numbers: &'a Numbers,
}

/// Maps and fills what is a task's own. All children are there: none inherits what is said of huge pages here.
fn own(program: &mut Program, whole: &Whole<'_>, inherited: &Inherited) -> Result<()> {
    let Whole { task, live, numbers, .. } = *whole;
    for vma in &live.mm.vmas {
        complete(program, whole, vma, inherited)?;
    }
    fill(program, live, numbers, inherited)?;
    if live.mm.thp_disabled == Some(true) {
        let flags = task.threads[0].extra.thp_disable_flags.unwrap_or(0);
        program.call(libc::SYS_prctl, &[libc::PR_SET_THP_DISABLE as u64, 1, u64::from(flags), 0, 0]);
    }
    // The kernel puts none into locked memory, where they may be all the same.
    guard(program, task);
    let on_fault: Vec<u64> =
        task.threads[0].extra.vma_flags.iter().filter(|f| f.lockonfault == Some(true)).map(|f| f.start).collect();
    let ordinary = live.mm.vmas.iter().filter(|vma| !is_special(vma));
    ordinary.for_each(|vma| advise(program, vma, on_fault.contains(&vma.start)));
    extras(program, task);
    seal(program, task);
    Ok(())
}

/// Maps what of an area was not inherited; what was gets its protection.
fn complete(program: &mut Program, whole: &Whole<'_>, vma: &VmaEntry, inherited: &Inherited) -> Result<()> {
    let mut kept: Vec<_> = inherited.kept.over(vma.start, vma.end).collect();
    if kept.is_empty() {
        return map(program, whole, vma);
    }
    if let Some(last) = kept.last_mut().filter(|last| last.end < vma.end) {
        let args = [vma.start, last.end - vma.start, vma.end - vma.start, 0];
        program.room(1, 0).call_for(libc::SYS_mremap, &args, vma.start as i64);
        last.end = vma.end;
    }
    for kept in kept.iter().filter(|kept| kept.value.prot != vma.prot) {
        program.call(libc::SYS_mprotect, &[kept.start, kept.end - kept.start, u64::from(vma.prot)]);
    }
    Ok(())
}

/// Whether an area is the kernel's own: the vDSO and rings have their own ways.
fn is_special(vma: &VmaEntry) -> bool {
    vma.status & (status::VDSO | status::VVAR | status::VSYSCALL | status::AIO_RING | status::IO_URING) != 0
}

fn map(program: &mut Program, whole: &Whole<'_>, vma: &VmaEntry) -> Result<()> {
    let Whole { task, numbers, .. } = *whole;
    if is_special(vma) {
        return Ok(());
    }
    if vma.status & status::SYSV != 0 {
        return namespaces::attach(program, whole.images, whole.layout, whole.live, vma);
    }
    let known = status::FILE_PRIVATE | status::FILE_SHARED | status::ANON_PRIVATE | status::ANON_SHARED;
    let refused = status::SOCKET | status::SHADOW_STACK | status::UPROBES;
    if vma.status & known == 0 || vma.status & refused != 0 {
        let what = format!(
            "process {}: the area {:x}-{:x} is of a kind that is not supported yet",
            task.pid(),
            vma.start,
            vma.end
        );
        return Err(Error::state(what));
    }
    let mut flags = map_flags(vma) | libc::MAP_FIXED_NOREPLACE;
    let (fd, offset) = match needs::of_area(vma) {
        None => (u64::MAX, 0),
        Some(need) => {
            flags &= !(libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | libc::MAP_HUGE_MASK << libc::MAP_HUGE_SHIFT);
            (numbers[&need] as u64, vma.pgoff)
        }
    };
    let accounted = vma.status & status::ACCOUNTED != 0;
    map_as(program, (vma.start, vma.end), vma.prot, accounted, [flags as u64, fd, offset]);
    if small_pages(vma) {
        no_huge_pages(program, vma.start, vma.end);
    }
    Ok(())
}

/// Whether an area is to hold no huge pages.
pub fn small_pages(vma: &VmaEntry) -> bool {
    vma.madv.unwrap_or(0) & 1 << libc::MADV_NOHUGEPAGE != 0
}

/// Said before the pages are read: where the system gives huge pages unasked, a thread's stack would become one.
fn no_huge_pages(program: &mut Program, start: u64, end: u64) {
    program.call(libc::SYS_madvise, &[start, end - start, libc::MADV_NOHUGEPAGE as u64]);
}

/// Maps a range. What was writable once is so again for a moment: the kernel counts its pages from then on, and areas
/// that are counted and others never become one.
fn map_as(program: &mut Program, (start, end): (u64, u64), prot: u32, accounted: bool, [flags, fd, offset]: [u64; 3]) {
    let first = if accounted { prot | libc::PROT_WRITE as u32 } else { prot };
    let args = [start, end - start, u64::from(first), flags, fd, offset];
    program.room(1, 0).call_for(libc::SYS_mmap, &args, start as i64);
    if first != prot {
        program.call(libc::SYS_mprotect, &[start, end - start, u64::from(prot)]);
    }
}

/// The MAP_* bits of an area that are repeated.
pub fn map_flags(vma: &VmaEntry) -> i32 {
    let kept = libc::MAP_SHARED
        | libc::MAP_PRIVATE
        | crate::vma::MAP_DROPPABLE
        | libc::MAP_ANONYMOUS
        | libc::MAP_GROWSDOWN
        | libc::MAP_NORESERVE
        | libc::MAP_HUGETLB
        | libc::MAP_HUGE_MASK << libc::MAP_HUGE_SHIFT;
    vma.flags as i32 & kept
}

/// Maps a part of an area that relatives share.
pub fn map_area(program: &mut Program, start: u64, end: u64, area: &Area, numbers: &Numbers) {
    let (flags, fd, offset) = match area.file {
        None => (area.flags, u64::MAX, 0),
        Some((id, shift)) => {
            (area.flags & !libc::MAP_ANONYMOUS, numbers[&Need::File(id)] as u64, start.wrapping_add(shift))
        }
    };
    let flags = flags | libc::MAP_FIXED_NOREPLACE;
    map_as(program, (start, end), area.prot, area.accounted, [flags as u64, fd, offset]);
    if area.small {
        no_huge_pages(program, start, end);
    }
}

/// Pages that lie together in memory and in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The first address.
    pub at: u64,
    /// Bytes.
    pub len: u64,
    /// Where they are in the file.
    pub offset: u64,
    /// Protection of the memory.
    pub prot: u32,
}

impl Piece {
    fn part(&self, start: u64, end: u64) -> Option<Piece> {
        let offset = self.offset + (start - self.at);
        (start < end).then_some(Piece { at: start, len: end - start, offset, prot: self.prot })
    }

    /// The blocks of `size` bytes that the piece fills, and what of it lies before and behind them. A page more in a
    /// block that is not filled could become a huge page, and the task would hold more than it did.
    fn cut(self, size: u64) -> (Piece, Option<Piece>, Option<Piece>) {
        let end = self.at + self.len;
        let (first, last) = (self.at.next_multiple_of(size), end - end % size);
        if first >= last || self.prot & libc::PROT_WRITE as u32 == 0 {
            return (self, None, None);
        }
        let head = Piece { len: first - self.at, ..self };
        (head, self.part(first, last), self.part(last, end))
    }
}

/// Adds the reads of all saved pages that were not inherited. Where the kernel makes huge pages unasked, the task is kept
/// from getting any (since its birth) until all is read that does not fill one.
fn fill(program: &mut Program, live: &LiveImage, numbers: &Numbers, inherited: &Inherited) -> Result<()> {
    let huge = thp::unasked();
    let mut reader = Reader::default();
    let mut whole = Vec::new();
    if live.pages.saved > 0 {
        let file = numbers[&Need::Pages(live.pages.pages_id)];
        for piece in pieces(live, inherited)? {
            let (head, blocks, tail) = huge.map_or((piece, None, None), |size| piece.cut(size));
            [Some(head), tail].into_iter().flatten().for_each(|piece| reader.read(program, file, &piece));
            whole.extend(blocks.map(|blocks| (file, blocks)));
        }
        reader.flush(program);
    }
    if huge.is_some() {
        program.call(libc::SYS_prctl, &[libc::PR_SET_THP_DISABLE as u64, 0, 0, 0, 0]);
    }
    whole.iter().for_each(|(file, blocks)| reader.read(program, *file, blocks));
    reader.flush(program);
    Ok(())
}

/// The saved pages that were not inherited.
fn pieces(live: &LiveImage, inherited: &Inherited) -> Result<Vec<Piece>> {
    let page = sys::page_size();
    let mut pieces = Vec::new();
    let mut vmas = live.mm.vmas.iter().peekable();
    for run in &live.pages.runs {
        let Source::Saved { offset } = run.source else {
            return Err(Error::state("the pages are in a parent directory; such images are not supported yet"));
        };
        let (mut at, end) = (run.vaddr, run.vaddr + run.pages * page);
        while at < end {
            while vmas.next_if(|v| v.end <= at).is_some() {}
            let vma = vmas.peek().filter(|v| v.start <= at).ok_or_else(|| outside(run))?;
            let stop = end.min(vma.end);
            if !is_special(vma) {
                for (start, end) in inherited.right.gaps(at, stop) {
                    let offset = offset + (start - run.vaddr);
                    pieces.push(Piece { at: start, len: end - start, offset, prot: vma.prot });
                }
            }
            at = stop;
        }
    }
    Ok(pieces)
}

fn outside(run: &Run) -> Error {
    Error::state(format!("the images hold pages at {:#x}, where no area is", run.vaddr))
}

/// Collects reads that lie together in a file into one call.
#[derive(Default)]
pub struct Reader {
    file: i32,
    vectors: Vec<(u64, u64)>,
    offset: u64,
    len: u64,
}

impl Reader {
    /// Adds the read of a piece of a file. Memory that the program may not write is opened for the moment of the read.
    pub fn read(&mut self, program: &mut Program, file: i32, piece: &Piece) {
        let Piece { at, len, offset, prot } = *piece;
        if self.file != file {
            self.flush(program);
            self.file = file;
        }
        if prot & libc::PROT_WRITE as u32 != 0 {
            return self.add(program, at, len, offset);
        }
        self.flush(program);
        let open = u64::from(prot) | libc::PROT_WRITE as u64 | libc::PROT_READ as u64;
        program.call(libc::SYS_mprotect, &[at, len, open]);
        self.add(program, at, len, offset);
        self.flush(program);
        program.call(libc::SYS_mprotect, &[at, len, u64::from(prot)]);
    }

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

    /// Adds the call for what was collected.
    pub fn flush(&mut self, program: &mut Program) {
        if !self.vectors.is_empty() {
            let bytes: Vec<u8> =
                self.vectors.iter().flat_map(|(at, len)| [at.to_ne_bytes(), len.to_ne_bytes()].concat()).collect();
            let batch = program.room(1, bytes.len() + 16);
            let vectors = batch.put(&bytes);
            let args = [self.file as u64, vectors.0, self.vectors.len() as u64, self.offset, 0];
            batch.call_for(libc::SYS_preadv, &args, self.len as i64);
        }
        self.vectors.clear();
        self.len = 0;
    }
}

/// Repeats the advice in force.
pub fn advise(program: &mut Program, vma: &VmaEntry, on_fault: bool) {
    // Said when the area was mapped.
    let bits = vma.madv.unwrap_or(0) & !(1 << libc::MADV_NOHUGEPAGE);
    for advice in (0..64).filter(|n| bits & 1 << n != 0) {
        program.call(libc::SYS_madvise, &[vma.start, vma.end - vma.start, advice]);
    }
    if vma.flags & libc::MAP_LOCKED as u32 != 0 || on_fault {
        const MLOCK_ONFAULT: u64 = 1;
        program.call(libc::SYS_mlock2, &[vma.start, vma.end - vma.start, MLOCK_ONFAULT]);
    }
    if vma.flags & libc::MAP_LOCKED as u32 != 0 && !on_fault {
        // It is locked now; that some of its pages cannot be brought in (guards, no access, beyond the end of a file) is
        // what the program was told too.
        program.room(1, 0).try_call(libc::SYS_mlock2, &[vma.start, vma.end - vma.start, 0]);
    }
}

/// Puts the guards back.
fn guard(program: &mut Program, task: &TaskImage) {
    const MADV_GUARD_INSTALL: u64 = 102;
    for guard in &task.threads[0].extra.guards {
        program.call(libc::SYS_madvise, &[guard.start, guard.end.saturating_sub(guard.start), MADV_GUARD_INSTALL]);
    }
}

/// What CRIU's messages have no field for: names of areas.
fn extras(program: &mut Program, task: &TaskImage) {
    const PR_SET_VMA: u64 = 0x5356_4d41;
    let Some(extra) = task.threads.first().map(|t| &t.extra) else { return };
    let end_of =
        |start: u64| task.live.as_ref().and_then(|l| l.mm.vmas.iter().find(|v| v.start == start)).map(|v| v.end);
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
        program.call(MSEAL, &[flags.start, flags.end.saturating_sub(flags.start), 0]);
    }
}

/// Opens a directory as the root of paths.
pub fn root(options: &crate::options::RestoreOptions) -> Result<OwnedFd> {
    let path = options.root.clone().unwrap_or_else(|| "/".into());
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
    nix::fcntl::open(&path, flags, nix::sys::stat::Mode::empty()).doing(|| format!("open the root {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_that_are_filled_may_become_huge_pages() {
        const HUGE: u64 = 0x20_0000;
        let prot = (libc::PROT_READ | libc::PROT_WRITE) as u32;
        let piece = |at, len, offset| Piece { at, len, offset, prot };
        let large = piece(0x1f_f000, 0x40_2000, 0x5000);
        let (blocks, tail) = (piece(HUGE, 0x40_0000, 0x6000), piece(0x60_0000, 0x1000, 0x40_6000));
        assert_eq!(large.cut(HUGE), (piece(0x1f_f000, 0x1000, 0x5000), Some(blocks), Some(tail)));
        let small = piece(0x1000, 0x3f_e000, 0);
        assert_eq!(small.cut(HUGE), (small, None, None));
        let exact = piece(HUGE, HUGE, 0);
        assert_eq!(exact.cut(HUGE), (piece(HUGE, 0, 0), Some(exact), None));
        let read_only = Piece { prot: 1, ..exact };
        assert_eq!(read_only.cut(HUGE), (read_only, None, None));
    }
}
