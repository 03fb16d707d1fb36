//! Contexts of asynchronous I/O, when the areas of all tasks are mapped. The kernel chooses the address of a new ring, and
//! follows when it is moved. It counts completed requests in a place of its own, which must agree with the ring: requests
//! that do nothing bring it there. Then the events that were not taken are written over those of these requests.

use super::crew::{Program, run_all};
use super::load::{Images, LiveImage, TaskImage};
use super::memory::{Piece, Reader};
use super::needs::{Need, Needs};
use super::tree::Tree;
use crate::aio::{HEADER, Header};
use crate::error::{Doing, Error, Result};
use crate::image::pagemap::Source;
use crate::image::proto::AioRingEntry;
use crate::sys::{self, Pid, RemoteAddr};
use crate::vma::status;
use std::os::unix::fs::FileExt;

/// The most requests of one call.
const AT_ONCE: u32 = 512;
const PROT: u32 = (libc::PROT_READ | libc::PROT_WRITE) as u32;

/// A context to be made.
struct Context {
    id: u64,
    len: u64,
    requests: u32,
    prot: u32,
    header: Header,
    /// Its saved bytes: address, length, place in the pages file.
    saved: Vec<Piece>,
    /// The pages file in the task.
    file: i32,
}

/// Makes the contexts of all tasks.
pub fn restore(images: &Images, tree: &Tree, needs: &Needs) -> Result<()> {
    let (mut work, mut made) = (Vec::new(), Vec::new());
    for (i, task) in images.tasks.iter().enumerate() {
        let Some(live) = &task.live else { continue };
        let contexts = contexts(task, live, needs)?;
        if contexts.is_empty() {
            continue;
        }
        let mut program = Program::new(&tree.layout);
        let names: Vec<_> = contexts.iter().map(|context| context.set_up(&mut program)).collect();
        work.push((&tree.leaders[i], program));
        made.push((contexts, names));
    }
    run_all(tree.layout.stub(), &mut work)?;
    let mut second = Vec::new();
    for ((member, program), (contexts, names)) in work.iter().zip(&made) {
        let mut next = Program::new(&tree.layout);
        for (context, (batch, at)) in contexts.iter().zip(names) {
            let place = RemoteAddr(program.batches()[*batch].u64_at(*at));
            context.check(member.tid, place)?;
            context.complete(&mut next, place);
        }
        second.push((*member, next));
    }
    run_all(tree.layout.stub(), &mut second).map(drop)
}

/// The contexts of a task, as its images have them.
fn contexts(task: &TaskImage, live: &LiveImage, needs: &Needs) -> Result<Vec<Context>> {
    let rings = live.mm.vmas.iter().filter(|vma| vma.status & status::AIO_RING != 0);
    let rings = rings.map(|vma| {
        let invalid =
            |what: &str| Error::state(format!("process {}: the ring {:x}-{:x} {what}", task.pid(), vma.start, vma.end));
        let fits = |entry: &&AioRingEntry| entry.id == vma.start && u64::from(entry.ring_len) == vma.end - vma.start;
        let entry = live.mm.aios.iter().find(fits).ok_or_else(|| invalid("is of no context in the images"))?;
        let len = vma.end - vma.start;
        let need = Need::Pages(live.pages.pages_id);
        let (file, number) = match (needs.file(need), needs.numbers.get(&need)) {
            (Some(file), Some(number)) => {
                (std::fs::File::from(file.try_clone().doing(|| "copy a descriptor")?), *number)
            }
            _ => return Err(invalid("is not saved")),
        };
        let saved = saved(live, vma.start, vma.end)?;
        let whole = saved.iter().map(|piece| piece.len).sum::<u64>() == len;
        let mut header = [0; HEADER as usize];
        let first = saved.first().filter(|_| whole).ok_or_else(|| invalid("is not saved as a whole"))?;
        file.read_exact_at(&mut header, first.offset).doing(|| "read the ring of a context of asynchronous I/O")?;
        let header = Header::parse(&header, len).ok_or_else(|| invalid("is none"))?;
        Ok(Context { id: vma.start, len, requests: entry.nr_req, prot: vma.prot, header, saved, file: number })
    });
    rings.collect()
}

/// The saved pages of a range.
fn saved(live: &LiveImage, start: u64, end: u64) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for run in &live.pages.runs {
        let (from, to) = (run.vaddr.max(start), (run.vaddr + run.pages * sys::page_size()).min(end));
        if from >= to {
            continue;
        }
        let Source::Saved { offset } = run.source else {
            return Err(Error::state("the pages are in a parent directory; such images are not supported yet"));
        };
        pieces.push(Piece { at: from, len: to - from, offset: offset + (from - run.vaddr), prot: PROT });
    }
    Ok(pieces)
}

impl Context {
    /// Adds the calls that keep its place free and make a context elsewhere; says where the name of it will be found.
    fn set_up(&self, program: &mut Program) -> (usize, RemoteAddr) {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let args = [self.id, self.len, libc::PROT_NONE as u64, flags as u64, u64::MAX, 0];
        program.room(1, 0).call_for(libc::SYS_mmap, &args, self.id as i64);
        let batch = program.room(1, 64);
        let name = batch.room(8);
        batch.call(libc::SYS_io_setup, &[self.requests.into(), name.0]);
        (program.batches().len() - 1, name)
    }

    /// The kernel must have made a ring of the same size.
    fn check(&self, pid: Pid, made: RemoteAddr) -> Result<()> {
        let mut header = [0; HEADER as usize];
        sys::mem::read_exact(pid, made, &mut header).doing(|| format!("read a new ring of task {pid}"))?;
        if Header::parse(&header, self.len).is_some() {
            return Ok(());
        }
        let what =
            format!("the ring of asynchronous I/O {:x} of task {pid} gets another size on this machine", self.id);
        Err(Error::state(what).with_help("it depends on the number of CPUs that the machine can have"))
    }

    /// Adds the calls that bring it to its place and to its state.
    fn complete(&self, program: &mut Program, made: RemoteAddr) {
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
        let args = [made.0, self.len, self.len, flags, self.id];
        program.room(1, 0).call_for(libc::SYS_mremap, &args, self.id as i64);
        let (taken, left) = self.header.history();
        self.pass(program, taken, true);
        self.pass(program, left, false);
        let mut reader = Reader::default();
        for piece in &self.saved {
            // The kernel has written the header, with the context's number in it.
            let skip = (self.id + HEADER).saturating_sub(piece.at).min(piece.len);
            let events =
                Piece { at: piece.at + skip, len: piece.len - skip, offset: piece.offset + skip, prot: piece.prot };
            reader.read(program, self.file, &events);
        }
        reader.flush(program);
        if self.prot != PROT {
            program.call(libc::SYS_mprotect, &[self.id, self.len, self.prot.into()]);
        }
    }

    /// Adds the calls by which requests complete, and are taken from the ring. Each CPU has a part of the places to give
    /// away: not so many at once that one must have them all.
    fn pass(&self, program: &mut Program, mut count: u32, take: bool) {
        let at_once = (self.header.places / 8).clamp(1, AT_ONCE);
        while count > 0 {
            let now = count.min(at_once);
            let batch = program.room(2, 64 + now as usize * 40 + 96);
            // struct iocb: opcode 0 reads, here nothing, from the descriptor whose number is at byte 20.
            let mut request = [0; 64];
            request[20..24].copy_from_slice(&self.file.to_ne_bytes());
            let request = batch.put(&request);
            let list = batch.put(&request.0.to_ne_bytes().repeat(now as usize));
            batch.call_for(libc::SYS_io_submit, &[self.id, now.into(), list.0], now.into());
            if take {
                let events = batch.room(now as usize * 32);
                // They are there: no time is waited.
                let time = batch.room(16);
                let args = [self.id, now.into(), now.into(), events.0, time.0];
                batch.call_for(libc::SYS_io_getevents, &args, now.into());
            }
            count -= now;
        }
    }
}
