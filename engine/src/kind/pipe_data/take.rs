//! Copying what is in a pipe without taking it out.

use super::super::Descriptor;
use super::{MODE, MORE_ROOM, is_reader, reopen};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{PipeDataEntry, StasisPipeEntry, StasisPipeStretch};
use crate::image::{NewImageDir, kinds};
use crate::sys::{self, Errno};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is in pipes, by their id: a record each, and its bytes.
#[derive(Debug, Default)]
pub struct Contents {
    fifo: bool,
    /// Device and inode of each, with the id it has in the images.
    ids: HashMap<(u64, u64), u32>,
    used: HashSet<u32>,
    taken: HashSet<u32>,
    /// The records with their bytes.
    pub records: Vec<(PipeDataEntry, Vec<u8>)>,
    /// What the records do not say, but for `quiet`.
    more: Vec<StasisPipeEntry>,
    /// Ends of fifos that report no hang-up.
    quiet: HashMap<u32, Vec<u32>>,
    /// Fifos that are open for writing.
    written: HashSet<u32>,
    scratch: Option<Scratch>,
}

/// A pipe of ours that contents are copied into, one after the other.
#[derive(Debug)]
struct Scratch {
    r: OwnedFd,
    w: OwnedFd,
    size: i32,
}

impl Contents {
    /// The contents of fifos: they have images of their own.
    pub fn of_fifos() -> Contents {
        Contents { fifo: true, ..Contents::default() }
    }

    /// The id of a pipe: CRIU's is its inode number cut to 32 bits, which fifos of two file systems may have in common.
    pub fn id_of(&mut self, descriptor: &Descriptor) -> u32 {
        let inode = (descriptor.stat.st_dev, descriptor.stat.st_ino);
        if let Some(&id) = self.ids.get(&inode) {
            return id;
        }
        let mut id = descriptor.stat.st_ino as u32;
        while !self.used.insert(id) {
            id = id.wrapping_add(1);
        }
        self.ids.insert(inode, id);
        id
    }

    /// Copies what is in a pipe, once for each pipe.
    pub fn take(&mut self, pipe_id: u32, descriptor: &Descriptor) -> Result<()> {
        if !self.taken.insert(pipe_id) {
            return Ok(());
        }
        let own = descriptor.copy.as_fd();
        let doing = || format!("copy what is in {}", descriptor.describe());
        let size = fcntl(own, FcntlArg::F_GETPIPE_SZ).doing(doing)?;
        let len = sys::file::readable_bytes(own).doing(doing)?;
        let mut record = PipeDataEntry { pipe_id, bytes: 0, size: Some(size as u32) };
        let mut more = self.owned(pipe_id, descriptor);
        if len == 0 {
            self.records.push((record, Vec::new()));
            self.add(more);
            return Ok(());
        }
        // A write end cannot be read through; by way of /proc the pipe can be opened anew.
        let reader = match descriptor.flags() & libc::O_ACCMODE as u32 == libc::O_WRONLY as u32 {
            false => None,
            true => Some(reopen(own, libc::O_RDONLY | libc::O_NONBLOCK).doing(doing)?),
        };
        let from = reader.as_ref().map_or(own, |fd| fd.as_fd());
        let (bytes, stretches) = self.copy_content(from, size, len).doing(doing)?;
        if bytes.len() != len {
            let what = format!("only {} of {len} bytes in {} could be copied", bytes.len(), descriptor.describe());
            return Err(Error::state(what).with_help(MORE_ROOM));
        }
        more.stretches = stretches;
        self.add(more);
        record.bytes = len as u32;
        self.records.push((record, bytes));
        Ok(())
    }

    /// Whose a pipe is, unless it is as a new one of root's.
    fn owned(&self, pipe_id: u32, descriptor: &Descriptor) -> StasisPipeEntry {
        let more = StasisPipeEntry { pipe_id, fifo: self.fifo.then_some(true), ..StasisPipeEntry::default() };
        let (uid, gid, mode) = (descriptor.stat.st_uid, descriptor.stat.st_gid, descriptor.stat.st_mode & MODE);
        if self.fifo || (uid, gid, mode) == (0, 0, 0o600) {
            return more;
        }
        StasisPipeEntry { uid: Some(uid), gid: Some(gid), mode: Some(mode), ..more }
    }

    fn add(&mut self, more: StasisPipeEntry) {
        if more.uid.is_some() || !more.stretches.is_empty() {
            self.more.push(more);
        }
    }

    /// Takes note of whether an end of a fifo, the file `id`, reports a hang-up. That matters where nobody has it open
    /// for writing.
    pub(in super::super) fn note_end(&mut self, pipe_id: u32, id: u32, descriptor: &Descriptor) -> Result<()> {
        if !is_reader(descriptor.flags()) {
            self.written.insert(pipe_id);
            return Ok(());
        }
        let mut polled = [PollFd::new(descriptor.copy.as_fd(), PollFlags::empty())];
        poll(&mut polled, PollTimeout::ZERO).doing(|| format!("ask for the state of {}", descriptor.describe()))?;
        if polled[0].revents().is_none_or(|events| !events.contains(PollFlags::POLLHUP)) {
            self.quiet.entry(pipe_id).or_default().push(id);
        }
        Ok(())
    }

    /// What the records do not say, complete when every end was seen.
    pub fn more(&self) -> Vec<StasisPipeEntry> {
        let mut all = self.more.clone();
        let mut quiet: Vec<_> = self.quiet.iter().filter(|(pipe_id, _)| !self.written.contains(pipe_id)).collect();
        quiet.sort_unstable();
        for (&pipe_id, ids) in quiet {
            match all.iter_mut().find(|more| more.pipe_id == pipe_id) {
                Some(more) => more.quiet = ids.clone(),
                None => all.push(StasisPipeEntry {
                    pipe_id,
                    fifo: self.fifo.then_some(true),
                    quiet: ids.clone(),
                    ..StasisPipeEntry::default()
                }),
            }
        }
        all
    }
}

impl Contents {
    /// Writes the records, each with its bytes.
    pub fn write(&self, out: &NewImageDir) -> Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        let image = if self.fifo { kinds::FIFO_DATA } else { kinds::PIPES_DATA };
        let mut writer = out.writer(image.single());
        for (record, bytes) in &self.records {
            writer.entry(record)?;
            writer.payload(bytes)?;
        }
        Ok(writer.finish()?)
    }

    /// The scratch pipe with a copy of what is in another one of `size` bytes.
    fn copy_of(&mut self, from: BorrowedFd<'_>, size: i32) -> sys::Result<&Scratch> {
        let scratch = match self.scratch.take().filter(|scratch| scratch.size == size) {
            Some(scratch) => scratch.emptied()?,
            None => Scratch::new(size)?,
        };
        let scratch = self.scratch.insert(scratch);
        match sys::file::tee(from, scratch.w.as_fd(), i32::MAX as usize) {
            Ok(_) | Err(Errno::EAGAIN) => Ok(scratch),
            Err(e) => Err(e),
        }
    }

    /// The bytes in a pipe and, if there are packets in it, how the bytes are divided.
    fn copy_content(
        &mut self,
        from: BorrowedFd<'_>,
        size: i32,
        len: usize,
    ) -> sys::Result<(Vec<u8>, Vec<StasisPipeStretch>)> {
        let scratch = self.copy_of(from, size)?;
        let (bytes, pieces) = read_pieces(scratch.r.as_fd(), scratch.w.as_fd(), len)?;
        if !pieces.iter().any(|(_, packet)| *packet) {
            return Ok((bytes, Vec::new()));
        }
        let scratch = self.copy_of(from, size)?;
        Ok((bytes, stretches(scratch.r.as_fd(), pieces)?))
    }
}

impl Scratch {
    fn new(size: i32) -> sys::Result<Scratch> {
        let (r, w) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // One buffer more than the other can have in use: for the mark of read_pieces.
        if fcntl(&w, FcntlArg::F_SETPIPE_SZ(size.saturating_add(1))).is_err()
            && fcntl(&w, FcntlArg::F_GETPIPE_SZ)? < size
        {
            fcntl(&w, FcntlArg::F_SETPIPE_SZ(size))?;
        }
        Ok(Scratch { r, w, size })
    }

    /// Takes out what the last one left.
    fn emptied(self) -> sys::Result<Scratch> {
        let mut rest = [0; 4096];
        loop {
            match nix::unistd::read(&self.r, &mut rest) {
                Ok(_) => {}
                Err(Errno::EAGAIN) => return Ok(self),
                Err(e) => return Err(e),
            }
        }
    }
}

/// How the bytes of a pipe with packets in it are divided, by a copy of it that is read anew.
fn stretches(r: BorrowedFd<'_>, pieces: Vec<(usize, bool)>) -> sys::Result<Vec<StasisPipeStretch>> {
    let mut stretches = Vec::new();
    let mut push = |len: usize, packet: bool| {
        if len > 0 {
            stretches.push(StasisPipeStretch { len: len as u32, packet: packet.then_some(true) });
        }
    };
    for (len, packet) in pieces {
        let stream = if packet { stream_before_packet(r, len)? } else { len };
        push(stream, false);
        push(len - stream, packet);
    }
    Ok(stretches)
}

/// Bytes, and the pieces they came in: the length of each, and whether a packet ended it.
type Pieces = (Vec<u8>, Vec<(usize, bool)>);

/// Reads `len` bytes out of a pipe in as few pieces as it gives them: for each its length, and whether a packet ended
/// it. A read ends after a packet whatever room it has, and goes from one buffer of a stream to the next. So that the
/// end of the pipe is not taken for that of a packet, a byte is put behind the content as soon as there is a buffer.
fn read_pieces(r: BorrowedFd<'_>, w: BorrowedFd<'_>, len: usize) -> sys::Result<Pieces> {
    let mut bytes = vec![0; len + 1];
    let (mut at, mut marked, mut pieces) = (0, false, Vec::new());
    while at < len {
        marked = marked || nix::unistd::write(w, b"\0") == Ok(1);
        let n = match nix::unistd::read(r, &mut bytes[at..]) {
            Ok(0) | Err(Errno::EAGAIN) => break,
            other => other?,
        };
        let end = (at + n).min(len);
        // A full pipe takes no mark: then what comes last counts as a stream.
        pieces.push((end - at, at + n < len || (marked && at + n == len)));
        at = end;
    }
    bytes.truncate(at);
    Ok((bytes, pieces))
}

/// How many bytes of the `len` up to the end of the next packet do not belong to it. They are taken from the pipe one
/// by one: reading one byte of a packet takes it whole.
fn stream_before_packet(r: BorrowedFd<'_>, len: usize) -> sys::Result<usize> {
    let mut left = len;
    let mut before = sys::file::readable_bytes(r)?;
    loop {
        nix::unistd::read(r, &mut [0])?;
        let now = sys::file::readable_bytes(r)?;
        let taken = before.saturating_sub(now);
        if taken != 1 || left <= 1 {
            return Ok(len - left.min(len));
        }
        (before, left) = (now, left - 1);
    }
}
