//! A pipe: its two ends, who shares them, the bytes in it, its capacity, packet mode. The boundaries of packets
//! survive too: they are taken one by one.

use super::{Descriptor, DumpContext, Kind, RestoreContext, eventfd::missing, set_owner};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdTypes, FileEntry, PipeDataEntry, PipeEntry};
use crate::options::InheritKey;
use crate::sys::{self, Errno};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::SFlag;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// See the module.
pub struct Pipe;

/// What is in pipes, by their id: a record each, and its bytes.
#[derive(Debug, Default)]
pub struct Contents {
    /// Ids that were looked at.
    seen: std::collections::HashSet<u32>,
    /// The records with their bytes.
    pub records: Vec<(PipeDataEntry, Vec<u8>)>,
    /// The boundaries of packets: pipe id and the lengths of its packets, for pipes in packet mode.
    pub packets: Vec<(u32, Vec<u32>)>,
}

/// Pipes that are being restored, and what belongs in them.
#[derive(Debug, Default)]
pub struct Pipes {
    /// Read and write end of each pipe.
    made: HashMap<u32, (OwnedFd, OwnedFd)>,
    /// Content and capacity of each pipe.
    pub contents: HashMap<u32, (Vec<u8>, Option<u32>)>,
    /// Lengths of the packets of pipes in packet mode.
    pub packets: HashMap<u32, Vec<u32>>,
}

impl Kind for Pipe {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Pipe
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        descriptor.file_type() == SFlag::S_IFIFO && descriptor.link.starts_with(b"pipe:[") && !descriptor.is_path()
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let pipe_id = pipe_id(descriptor);
        cx.pipes.take(pipe_id, descriptor)?;
        let pipe = PipeEntry { id, pipe_id, flags: descriptor.flags(), fown: descriptor.owner()? };
        Ok(FileEntry { r#type: FdTypes::Pipe as i32, id, pipe: Some(pipe), ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let Some(pipe) = &entry.pipe else { return Err(missing(entry, "pipe")) };
        if let Some(fd) = cx.inherited(|key| *key == InheritKey::Pipe { inode: u64::from(pipe.pipe_id) })? {
            return Ok(fd);
        }
        let end = cx.pipes.end(pipe.pipe_id, pipe.flags)?;
        set_owner(end.as_fd(), &pipe.fown)?;
        Ok(end)
    }
}

/// CRIU's pipe ids are inode numbers, cut to 32 bits.
pub(super) fn pipe_id(descriptor: &Descriptor) -> u32 {
    descriptor.stat.st_ino as u32
}

impl Contents {
    /// Copies what is in a pipe, once for each pipe, by tee(2): the pipe does not change.
    pub fn take(&mut self, pipe_id: u32, descriptor: &Descriptor) -> Result<()> {
        let reads = descriptor.flags() & libc::O_ACCMODE as u32 != libc::O_WRONLY as u32;
        if self.seen.contains(&pipe_id) {
            return Ok(());
        }
        // A write end cannot be read through; another description of the pipe that can is made by way of /proc.
        let reader = match reads {
            true => None,
            false => Some(reopen(descriptor.copy.as_fd(), libc::O_RDONLY | libc::O_NONBLOCK)
                .doing(|| format!("open the other end of {}", descriptor.describe()))?),
        };
        self.seen.insert(pipe_id);
        let from = reader.as_ref().map_or(descriptor.copy.as_fd(), |fd| fd.as_fd());
        let doing = || format!("copy what is in {}", descriptor.describe());
        let size = fcntl(from, FcntlArg::F_GETPIPE_SZ).doing(doing)? as u32;
        let (bytes, packets) = copy_content(from, size, descriptor.flags() & libc::O_DIRECT as u32 != 0).doing(doing)?;
        let record = PipeDataEntry { pipe_id, bytes: bytes.len() as u32, size: Some(size) };
        if !packets.is_empty() {
            self.packets.push((pipe_id, packets));
        }
        self.records.push((record, bytes));
        Ok(())
    }
}

/// The bytes in a pipe, and the lengths of its packets. A read from a packet buffer gives one packet, whatever the mode
/// of the end that reads; from ordinary buffers it gives all. So the copy is read in pieces, and pieces shorter than
/// asked for are packets.
fn copy_content(from: BorrowedFd<'_>, size: u32, packet_mode: bool) -> sys::Result<(Vec<u8>, Vec<u32>)> {
    let (r, w) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
    fcntl(&w, FcntlArg::F_SETPIPE_SZ(size as i32))?;
    match sys::file::tee(from, w.as_fd(), size as usize) {
        Ok(0) | Err(Errno::EAGAIN) => return Ok((Vec::new(), Vec::new())),
        Ok(_) => {}
        Err(e) => return Err(e),
    }
    drop(w);
    let (mut bytes, mut packets) = (Vec::new(), Vec::new());
    let mut piece = vec![0; size as usize];
    loop {
        match nix::unistd::read(&r, &mut piece) {
            Ok(0) | Err(Errno::EAGAIN) => break,
            Ok(n) => {
                bytes.extend_from_slice(&piece[..n]);
                packets.push(n as u32);
            }
            Err(e) => return Err(e),
        }
    }
    // One piece outside packet mode is a stream.
    if packets.len() == 1 && !packet_mode {
        packets.clear();
    }
    Ok((bytes, packets))
}

/// Another open file description of the same object.
pub(super) fn reopen(fd: BorrowedFd<'_>, flags: i32) -> sys::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    nix::fcntl::open(path.as_str(), OFlag::from_bits_retain(flags | libc::O_CLOEXEC), nix::sys::stat::Mode::empty())
}

impl Pipes {
    /// An open file description of one end of a pipe, which is made and filled at the first call.
    fn end(&mut self, pipe_id: u32, flags: u32) -> Result<OwnedFd> {
        if !self.made.contains_key(&pipe_id) {
            let ends = self.make(pipe_id)?;
            self.made.insert(pipe_id, ends);
        }
        let (r, w) = &self.made[&pipe_id];
        let from = if flags & libc::O_ACCMODE as u32 == libc::O_RDONLY as u32 { r } else { w };
        let doing = || format!("open an end of pipe {pipe_id}");
        let end = reopen(from.as_fd(), flags as i32 & !libc::O_ASYNC).doing(doing)?;
        // O_ASYNC takes effect only through F_SETFL.
        if flags & libc::O_ASYNC as u32 != 0 {
            sys::file::set_flags(end.as_fd(), flags as i32).doing(doing)?;
        }
        Ok(end)
    }

    fn make(&mut self, pipe_id: u32) -> Result<(OwnedFd, OwnedFd)> {
        let (r, w) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).doing(|| "make a pipe")?;
        if let Some((bytes, size)) = self.contents.remove(&pipe_id) {
            fill(w.as_fd(), pipe_id, &bytes, size, self.packets.get(&pipe_id))?;
        }
        Ok((r, w))
    }

    /// Closes the engine's own ends, so that only the tasks' ends are left and an end of file can be seen.
    pub fn close(&mut self) {
        self.made.clear();
    }
}

/// Fills a new pipe.
pub(super) fn fill(
    w: BorrowedFd<'_>,
    pipe_id: u32,
    bytes: &[u8],
    size: Option<u32>,
    packets: Option<&Vec<u32>>,
) -> Result<()> {
    if let Some(size) = size {
        fcntl(w, FcntlArg::F_SETPIPE_SZ(i32::try_from(size).unwrap_or(i32::MAX)))
            .doing(|| format!("give pipe {pipe_id} its capacity of {size} bytes"))
            .map_err(|e| e.with_help("raise /proc/sys/fs/pipe-max-size, or run with CAP_SYS_RESOURCE"))?;
    }
    let doing = || format!("fill pipe {pipe_id}");
    let write = |part: &[u8]| match nix::unistd::write(w, part) {
        Ok(n) if n == part.len() => Ok(()),
        Ok(_) => Err(Errno::ENOSPC),
        Err(e) => Err(e),
    };
    let Some(packets) = packets else {
        return if bytes.is_empty() { Ok(()) } else { write(bytes).doing(doing) };
    };
    if packets.iter().map(|&n| u64::from(n)).sum::<u64>() != bytes.len() as u64 {
        return Err(Error::state(format!("the packets of pipe {pipe_id} do not add up to its content")));
    }
    let mode = sys::file::flags(w).doing(doing)?;
    sys::file::set_flags(w, mode | libc::O_DIRECT).doing(doing)?;
    let mut rest = bytes;
    for &len in packets {
        let (packet, tail) = rest.split_at(len as usize);
        write(packet).doing(doing)?;
        rest = tail;
    }
    sys::file::set_flags(w, mode).doing(doing)
}
