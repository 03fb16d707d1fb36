//! Draining: copying the pages that were found into the pages files, on all cores at once. Every page's place in its
//! file is known beforehand, so pieces of one process and of several run side by side.

use super::pages::push_run;
use crate::cancel;
use crate::error::{Doing, Error, Result};
use crate::fault;
use crate::image::ChunkSums;
use crate::options::ProgressSink;
use crate::parallel;
use crate::proc::pagemap::{self, PageEntry};
use crate::sys::{self, Errno, Pid, RemoteAddr};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};
use std::cell::RefCell;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// What a thread copies at a time: small enough to stay in its core's cache between reading and writing.
const CHUNK: u64 = 512 << 10;
/// Runs of one read: less than the kernel's limit of vectors.
const RUNS: usize = 512;

/// Where pages come from.
pub enum Source {
    /// A frozen task, and its pagemap.
    Task(Pid, OwnedFd),
    /// A segment of shared memory, by its file; addresses are offsets.
    Segment(File),
}

/// A pages file to be filled.
pub struct Target {
    /// Where the pages come from.
    pub source: Source,
    /// The runs in the order of the file: first address, address after the last.
    pub runs: Vec<(u64, u64)>,
    /// Bytes that are at hand already, in place of those of the source: the vDSO.
    pub given: Option<(u64, Vec<u8>)>,
    /// The file.
    pub file: File,
    /// Its name, for messages.
    pub name: String,
    /// The checksums of its pieces.
    pub sums: ChunkSums,
}

/// A piece of a target: some runs that lie together in the file.
struct Piece<'a> {
    target: &'a Target,
    runs: Vec<(RemoteAddr, u64)>,
    len: u64,
    offset: u64,
}

/// Fills all targets.
pub fn drain(targets: &[Target], progress: &ProgressSink) -> Result<()> {
    let pieces: Vec<Piece<'_>> = targets.iter().flat_map(cut).collect();
    let bytes = pieces.iter().map(|piece| piece.len).sum();
    let left: Vec<Option<&Piece<'_>>> = parallel::map_bytes(&pieces, bytes, |piece| -> Result<_> {
        cancel::check()?;
        fault::point("copy memory")?;
        match copy(piece) {
            Err(Error::Kernel { errno: Errno::EIO, .. }) => return Ok(Some(piece)),
            copied => copied?,
        }
        progress.add(piece.len);
        Ok(None)
    })?;
    // Some kernels let nobody but the thread that traces a task read what the task itself cannot
    // (CONFIG_PROC_MEM_FORCE_PTRACE): that is this one.
    left.into_iter().flatten().try_for_each(|piece| {
        cancel::check()?;
        copy(piece)?;
        progress.add(piece.len);
        Ok(())
    })
}

impl Target {
    /// Whether no other process has these pages: process_vm_readv(2) pins what it reads, and the kernel gives a task
    /// that is pinned a copy of its own of every page that it shared with relatives.
    fn is_exclusive(&self, runs: &[(RemoteAddr, u64)]) -> bool {
        let Source::Task(_, pagemap) = &self.source else { return true };
        let page = sys::page_size();
        let mut words = [0u8; (CHUNK / 512) as usize];
        runs.iter().all(|(at, len)| {
            let words = &mut words[..(len / page) as usize * PageEntry::SIZE];
            let read = nix::sys::uio::pread(pagemap, words, (at.0 / page * PageEntry::SIZE as u64) as i64);
            read == Ok(words.len())
                && pagemap::parse(words).is_ok_and(|mut entries| entries.all(|e| e.is_exclusive() || !e.is_present()))
        })
    }
}

/// Cuts a target into pieces.
fn cut(target: &Target) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut piece = Piece { target, runs: Vec::new(), len: 0, offset: 0 };
    for &(start, end) in &target.runs {
        let mut at = start;
        while at < end {
            let len = (end - at).min(CHUNK - piece.len);
            piece.runs.push((RemoteAddr(at), len));
            piece.len += len;
            at += len;
            if piece.len == CHUNK || piece.runs.len() == RUNS {
                let next = Piece { target, runs: Vec::new(), len: 0, offset: piece.offset + piece.len };
                pieces.push(std::mem::replace(&mut piece, next));
            }
        }
    }
    if piece.len > 0 {
        pieces.push(piece);
    }
    pieces
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK as usize]);
}

fn copy(piece: &Piece<'_>) -> Result<()> {
    BUFFER.with_borrow_mut(|buffer| {
        let buffer = &mut buffer[..piece.len as usize];
        match &piece.target.source {
            Source::Task(pid, _) => read_task(*pid, piece, buffer)?,
            Source::Segment(file) => read_segment(file, piece, buffer)?,
        }
        piece.target.sums.add(piece.offset, buffer);
        piece
            .target
            .file
            .write_all_at(buffer, piece.offset)
            .doing(|| format!("write {}", piece.target.name))
            .map_err(|e| e.with_help("is the disk full? the dump was given up and the process runs on"))
    })
}

/// Reads the runs of a piece from a task, through /proc/PID/mem where the area is not readable.
fn read_task(pid: Pid, piece: &Piece<'_>, buffer: &mut [u8]) -> Result<()> {
    if let Some((start, bytes)) = &piece.target.given
        && piece.runs.iter().any(|(at, _)| (*start..*start + bytes.len() as u64).contains(&at.0))
    {
        return read_one_by_one(pid, piece, buffer);
    }
    if !piece.target.is_exclusive(&piece.runs) {
        return read_one_by_one(pid, piece, buffer);
    }
    match sys::mem::read_ranges(pid, &piece.runs, buffer) {
        Ok(n) if n as u64 == piece.len => Ok(()),
        Ok(_) | Err(Errno::EFAULT) => read_one_by_one(pid, piece, buffer),
        Err(e) => Err(e).doing(|| format!("read the memory of task {pid}")),
    }
}

fn read_one_by_one(pid: Pid, piece: &Piece<'_>, buffer: &mut [u8]) -> Result<()> {
    let mem = sys::mem::open(pid, false).doing(|| format!("open the memory of task {pid}"))?;
    let mut rest = buffer;
    for &(at, len) in &piece.runs {
        let (part, tail) = rest.split_at_mut(len as usize);
        rest = tail;
        sys::mem::read_forced(&mem, at, part).doing(|| format!("read the memory of task {pid} at {at}"))?;
        if let Some((start, bytes)) = &piece.target.given {
            overlay(at.0, part, *start, bytes);
        }
    }
    Ok(())
}

/// Lays `bytes`, which belong at `start`, over `part`, which stands for the memory at `at`.
fn overlay(at: u64, part: &mut [u8], start: u64, bytes: &[u8]) {
    let from = at.max(start);
    let to = (at + part.len() as u64).min(start + bytes.len() as u64);
    if from < to {
        let source = &bytes[(from - start) as usize..(to - start) as usize];
        part[(from - at) as usize..(to - at) as usize].copy_from_slice(source);
    }
}

fn read_segment(file: &File, piece: &Piece<'_>, buffer: &mut [u8]) -> Result<()> {
    let mut rest = buffer;
    for &(at, len) in &piece.runs {
        let (part, tail) = rest.split_at_mut(len as usize);
        rest = tail;
        let read = read_up_to_end(file, part, at.0).doing(|| "read a segment of shared memory")?;
        // A file may end within a page; its memory does not.
        if read < part.len() {
            sys::map::copy_from(file.as_fd(), at.0, part).doing(|| "read the end of a segment of shared memory")?;
        }
    }
    Ok(())
}

/// Fills the buffer as far as the file goes; returns how far that is.
fn read_up_to_end(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// The runs of a segment of shared memory that hold data, as offsets: whole pages.
pub fn segment_runs(file: &File) -> Result<Vec<(u64, u64)>> {
    use std::os::unix::fs::MetadataExt;
    let doing = || "look for the data of a segment of shared memory";
    let meta = file.metadata().doing(doing)?;
    let (size, page) = (meta.len(), sys::page_size());
    // hugetlbfs knows no holes.
    if meta.blksize() > page && fstatfs(file).doing(doing)?.filesystem_type() == HUGETLBFS_MAGIC {
        return huge_runs(file, size, meta.blksize(), meta.blocks()).doing(doing);
    }
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut at = 0;
    while at < size {
        let Some(data) = sys::file::seek_data(file.as_fd(), at).doing(doing)? else { break };
        let hole = sys::file::seek_hole(file.as_fd(), data).doing(doing)?.unwrap_or(size);
        let end = hole.min(size).next_multiple_of(page);
        if end <= data {
            return Err(Error::state("a segment of shared memory changed while it was read"));
        }
        runs.push((data, end));
        at = end;
    }
    Ok(runs)
}

/// The same of huge pages: what reads as zeros is a hole, unless there is none. `blocks` are those of 512 bytes that the
/// file takes.
fn huge_runs(file: &File, size: u64, page: u64, blocks: u64) -> std::io::Result<Vec<(u64, u64)>> {
    if blocks.saturating_mul(512) >= size && size > 0 {
        return Ok(vec![(0, size)]);
    }
    let mut buffer = vec![0; CHUNK.min(page) as usize];
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for at in (0..if blocks == 0 { 0 } else { size }).step_by(page as usize) {
        for part in (at..at + page).step_by(buffer.len()) {
            let read = read_up_to_end(file, &mut buffer, part)?;
            if buffer[..read].iter().any(|byte| *byte != 0) {
                push_run(&mut runs, at, at + page);
                break;
            }
        }
    }
    Ok(runs)
}
