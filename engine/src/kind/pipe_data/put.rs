//! Making pipes and fifos again, and filling them.

use super::{MODE, MORE_ROOM, is_reader, reopen};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FifoEntry, PipeDataEntry, StasisPipeEntry};
use crate::image::{ImageDir, Name, kinds};
use crate::sys::{self, Errno};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Pipes or fifos that are being restored, and what belongs in them.
#[derive(Debug, Default)]
pub struct Pipes {
    made: HashMap<u32, Made>,
    contents: HashMap<u32, Content>,
}

/// A pipe that was made.
#[derive(Debug)]
struct Made {
    r: OwnedFd,
    /// None when a fifo must have no writer for the moment.
    w: Option<OwnedFd>,
    /// Whether the read end itself was handed out, and the write end.
    given: (bool, bool),
    /// Files that are ends and are to be opened while there is no writer.
    quiet: Vec<u32>,
}

/// What belongs in a pipe.
#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    size: Option<u32>,
    more: StasisPipeEntry,
}

impl Pipes {
    /// Reads what belongs in pipes, or in fifos.
    pub fn load(images: &ImageDir, data: Name<PipeDataEntry>, fifo: bool) -> Result<Pipes> {
        let mut pipes = Pipes::default();
        for (record, bytes) in images.read_all_with(data, |record| u64::from(record.bytes))? {
            let content = pipes.contents.entry(record.pipe_id).or_default();
            // A record may carry the capacity alone.
            content.size = record.size.or(content.size);
            content.bytes.extend_from_slice(&bytes);
        }
        for entry in images.read_all(kinds::STASIS_PIPE.single())? {
            if entry.fifo() == fifo
                && let Some(content) = pipes.contents.get_mut(&entry.pipe_id)
            {
                content.more = entry;
            }
        }
        Ok(pipes)
    }

    /// An open file description of one end of a pipe, which is made and filled at the first call.
    pub(in super::super) fn end(&mut self, pipe_id: u32, flags: u32) -> Result<OwnedFd> {
        let doing = || format!("open an end of pipe {pipe_id}");
        if !self.made.contains_key(&pipe_id) {
            let (r, w) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).doing(|| "make a pipe")?;
            self.fill(pipe_id, w.as_fd())?;
            self.made.insert(pipe_id, Made { r, w: Some(w), given: (false, false), quiet: Vec::new() });
        }
        let Some(made) = self.made.get_mut(&pipe_id) else { return Err(Error::state("a pipe is gone")) };
        let mode = flags as i32 & libc::O_ACCMODE;
        let (from, given) = match (mode, &made.w) {
            (libc::O_WRONLY | libc::O_RDWR, Some(w)) => (w, &mut made.given.1),
            _ => (&made.r, &mut made.given.0),
        };
        // The ends that pipe2 made lack O_LARGEFILE, those opened by way of /proc have it: so they are told apart.
        let original = mode != libc::O_RDWR && flags & sys::file::large_file_flag() as u32 == 0 && !*given;
        if !original {
            return open_end(from.as_fd(), flags).doing(doing);
        }
        *given = true;
        let end = from.try_clone().doing(doing)?;
        sys::file::set_flags(end.as_fd(), flags as i32 & !libc::O_ASYNC).doing(doing)?;
        Ok(end)
    }

    /// As [`Pipes::end`], of the fifo that `path` refers to.
    pub(in super::super) fn end_of(&mut self, fifo: &FifoEntry, path: BorrowedFd<'_>, flags: u32) -> Result<OwnedFd> {
        let pipe_id = fifo.pipe_id;
        let doing = || format!("open an end of fifo {pipe_id}");
        if !self.made.contains_key(&pipe_id) {
            // Opened for both, a fifo waits for nobody; and while this is open, nobody waits for the other end.
            let w = reopen(path, libc::O_RDWR | libc::O_NONBLOCK).doing(doing)?;
            let r = reopen(path, libc::O_RDONLY | libc::O_NONBLOCK).doing(doing)?;
            let quiet = self.contents.get(&pipe_id).map(|content| content.more.quiet.clone()).unwrap_or_default();
            self.fill(pipe_id, w.as_fd())?;
            self.made.insert(pipe_id, Made { r, w: Some(w), given: (true, true), quiet });
        }
        let Some(made) = self.made.get_mut(&pipe_id) else { return Err(Error::state("a fifo is gone")) };
        // One that is opened while there is no writer reports no hang-up until one has come and gone.
        if made.quiet.contains(&fifo.id) && is_reader(flags) {
            made.w = None;
            let end = open_end(path, flags | libc::O_NONBLOCK as u32).doing(doing)?;
            sys::file::set_flags(end.as_fd(), flags as i32 & !libc::O_ASYNC).doing(doing)?;
            return Ok(end);
        }
        if made.w.is_none() && is_reader(flags) {
            made.w = Some(reopen(path, libc::O_RDWR | libc::O_NONBLOCK).doing(doing)?);
        }
        open_end(path, flags).doing(doing)
    }

    /// Fills a new pipe through its write end, which does not block.
    fn fill(&mut self, pipe_id: u32, w: BorrowedFd<'_>) -> Result<()> {
        let Some(content) = self.contents.remove(&pipe_id) else { return Ok(()) };
        let doing = || format!("fill pipe {pipe_id}");
        if let Some(size) = content.size
            && fcntl(w, FcntlArg::F_GETPIPE_SZ).doing(doing)? as u32 != size
        {
            fcntl(w, FcntlArg::F_SETPIPE_SZ(i32::try_from(size).unwrap_or(i32::MAX)))
                .doing(|| format!("give pipe {pipe_id} its capacity of {size} bytes"))
                .map_err(|e| e.with_help(MORE_ROOM))?;
        }
        own(w, &content.more).doing(|| format!("set the owner of pipe {pipe_id}"))?;
        let stretches = &content.more.stretches;
        if stretches.is_empty() {
            return write(w, &content.bytes).doing(doing);
        }
        let total: u64 = stretches.iter().map(|s| u64::from(s.len)).sum();
        if total != content.bytes.len() as u64 {
            return Err(Error::state(format!("the packets of pipe {pipe_id} do not add up to its content")));
        }
        let mode = sys::file::flags(w).doing(doing)?;
        let mut rest = content.bytes.as_slice();
        for (i, stretch) in stretches.iter().enumerate() {
            let (part, tail) = rest.split_at(stretch.len as usize);
            let packet = if stretch.packet() { libc::O_DIRECT } else { 0 };
            sys::file::set_flags(w, mode & !libc::O_DIRECT | packet).doing(doing)?;
            match stretches.get(i + 1) {
                Some(next) if next.packet() && !stretch.packet() => write_closed(w, part).doing(doing)?,
                _ => write(w, part).doing(doing)?,
            }
            rest = tail;
        }
        sys::file::set_flags(w, mode).doing(doing)
    }

    /// Closes the engine's own ends, so that only the tasks' ends are left and an end of file can be seen.
    pub fn close(&mut self) {
        self.made.clear();
    }
}

/// Opens an end anew. O_DIRECT of a pipe can only be set later; O_ASYNC only by the task.
fn open_end(from: BorrowedFd<'_>, flags: u32) -> sys::Result<OwnedFd> {
    let flags = flags as i32 & !(libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC | libc::O_NOFOLLOW | libc::O_ASYNC);
    let end = reopen(from, flags & !libc::O_DIRECT)?;
    if flags & libc::O_DIRECT != 0 {
        sys::file::set_flags(end.as_fd(), flags)?;
    }
    Ok(end)
}

/// Gives a pipe its owner and its mode.
fn own(w: BorrowedFd<'_>, more: &StasisPipeEntry) -> sys::Result<()> {
    use nix::sys::stat::{Mode, fchmod};
    use nix::unistd::{Gid, Uid, fchown};
    if let (Some(uid), Some(gid)) = (more.uid, more.gid) {
        fchown(w, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    more.mode.map_or(Ok(()), |mode| fchmod(w, Mode::from_bits_truncate(mode & MODE)))
}

/// Writes a stretch of a stream to which nothing that follows is added: a packet would become a part of it. The kernel
/// never adds to a buffer that came by tee(2).
pub(super) fn write_closed(w: BorrowedFd<'_>, bytes: &[u8]) -> sys::Result<()> {
    let (r, other) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
    let size = fcntl(w, FcntlArg::F_GETPIPE_SZ)?;
    if fcntl(&other, FcntlArg::F_GETPIPE_SZ)? < size {
        fcntl(&other, FcntlArg::F_SETPIPE_SZ(size))?;
    }
    write(other.as_fd(), bytes)?;
    match sys::file::tee(r.as_fd(), w, bytes.len()) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) | Err(Errno::EAGAIN) => Err(Errno::ENOSPC),
        Err(e) => Err(e),
    }
}

/// Writes all of `bytes` at once.
fn write(w: BorrowedFd<'_>, bytes: &[u8]) -> sys::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    match nix::unistd::write(w, bytes) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) | Err(Errno::EAGAIN) => Err(Errno::ENOSPC),
        Err(e) => Err(e),
    }
}
