//! What is in a pipe or a fifo: its bytes, its capacity and the boundaries of its packets. It is copied by tee(2),
//! which leaves the pipe as it is, and written again into a new one. How bytes of a stream are spread over the pipe's
//! buffers does not survive: nobody can see it.

use super::Descriptor;
use crate::error::{Doing, Error, Result};
use crate::image::proto::{PipeDataEntry, StasisPipeEntry, StasisPipeStretch};
use crate::image::{ImageDir, Name, NewImageDir, kinds};
use crate::sys::{self, Errno};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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
    /// What the records do not say.
    pub more: Vec<StasisPipeEntry>,
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
        let (bytes, stretches) = copy_content(from, size, len).doing(doing)?;
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
}

/// The bits of a mode that chmod(2) sets.
const MODE: u32 = 0o7777;

/// Another open file description of the same object.
pub(super) fn reopen(fd: BorrowedFd<'_>, flags: i32) -> sys::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    nix::fcntl::open(path.as_str(), OFlag::from_bits_retain(flags | libc::O_CLOEXEC), nix::sys::stat::Mode::empty())
}

const MORE_ROOM: &str = "raise /proc/sys/fs/pipe-max-size, or run with CAP_SYS_RESOURCE";

/// A new pipe with a copy of what is in another one of `size` bytes.
fn copy_of(from: BorrowedFd<'_>, size: i32) -> sys::Result<(OwnedFd, OwnedFd)> {
    let (r, w) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
    // One buffer more than the other can have in use: for the mark of read_pieces.
    if fcntl(&w, FcntlArg::F_SETPIPE_SZ(size.saturating_add(1))).is_err() && fcntl(&w, FcntlArg::F_GETPIPE_SZ)? < size {
        fcntl(&w, FcntlArg::F_SETPIPE_SZ(size))?;
    }
    match sys::file::tee(from, w.as_fd(), i32::MAX as usize) {
        Ok(_) | Err(Errno::EAGAIN) => Ok((r, w)),
        Err(e) => Err(e),
    }
}

/// The bytes in a pipe and, if there are packets in it, how the bytes are divided.
fn copy_content(from: BorrowedFd<'_>, size: i32, len: usize) -> sys::Result<(Vec<u8>, Vec<StasisPipeStretch>)> {
    let (r, w) = copy_of(from, size)?;
    let (bytes, pieces) = read_pieces(r.as_fd(), w.as_fd(), len)?;
    if !pieces.iter().any(|(_, packet)| *packet) {
        return Ok((bytes, Vec::new()));
    }
    drop((r, w));
    let (r, _w) = copy_of(from, size)?;
    let mut stretches = Vec::new();
    let mut push = |len: usize, packet: bool| {
        if len > 0 {
            stretches.push(StasisPipeStretch { len: len as u32, packet: packet.then_some(true) });
        }
    };
    for (len, packet) in pieces {
        let stream = if packet { stream_before_packet(r.as_fd(), len)? } else { len };
        push(stream, false);
        push(len - stream, packet);
    }
    Ok((bytes, stretches))
}

/// Reads `len` bytes out of a pipe in as few pieces as it gives them: for each its length, and whether a packet ended
/// it. A read ends after a packet whatever room it has, and goes from one buffer of a stream to the next. So that the
/// end of the pipe is not taken for that of a packet, a byte is put behind the content as soon as there is a buffer.
fn read_pieces(r: BorrowedFd<'_>, w: BorrowedFd<'_>, len: usize) -> sys::Result<(Vec<u8>, Vec<(usize, bool)>)> {
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
    w: OwnedFd,
    /// Whether the read end itself was handed out, and the write end.
    given: (bool, bool),
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
            if entry.fifo.unwrap_or(false) == fifo
                && let Some(content) = pipes.contents.get_mut(&entry.pipe_id)
            {
                content.more = entry;
            }
        }
        Ok(pipes)
    }

    /// An open file description of one end of a pipe, which is made and filled at the first call.
    pub(super) fn end(&mut self, pipe_id: u32, flags: u32) -> Result<OwnedFd> {
        let doing = || format!("open an end of pipe {pipe_id}");
        if !self.made.contains_key(&pipe_id) {
            let (r, w) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).doing(|| "make a pipe")?;
            self.fill(pipe_id, w.as_fd())?;
            self.made.insert(pipe_id, Made { r, w, given: (false, false) });
        }
        let Some(made) = self.made.get_mut(&pipe_id) else { return Err(Error::state("a pipe is gone")) };
        let mode = flags as i32 & libc::O_ACCMODE;
        let (from, given) = match mode {
            libc::O_RDONLY => (&made.r, &mut made.given.0),
            _ => (&made.w, &mut made.given.1),
        };
        // The ends that pipe2 made lack O_LARGEFILE, those opened by way of /proc have it: so they are told apart.
        let original = mode != libc::O_RDWR && flags & sys::file::large_file_flag() as u32 == 0 && !*given;
        if !original {
            return open_end(from.as_fd(), flags).doing(doing);
        }
        *given = true;
        let end = from.try_clone().doing(doing)?;
        sys::file::set_flags(end.as_fd(), flags as i32).doing(doing)?;
        Ok(end)
    }

    /// As [`Pipes::end`], of the fifo that `path` refers to.
    pub(super) fn end_of(&mut self, pipe_id: u32, path: BorrowedFd<'_>, flags: u32) -> Result<OwnedFd> {
        let doing = || format!("open an end of fifo {pipe_id}");
        if !self.made.contains_key(&pipe_id) {
            // Opened for both, a fifo waits for nobody; and while this is open, nobody waits for the other end.
            let w = reopen(path, libc::O_RDWR | libc::O_NONBLOCK).doing(doing)?;
            let r = w.try_clone().doing(doing)?;
            self.fill(pipe_id, w.as_fd())?;
            self.made.insert(pipe_id, Made { r, w, given: (true, true) });
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

/// Opens an end anew. O_DIRECT and O_ASYNC of a pipe can only be set later.
fn open_end(from: BorrowedFd<'_>, flags: u32) -> sys::Result<OwnedFd> {
    let flags = flags as i32 & !(libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC | libc::O_NOFOLLOW);
    let late = libc::O_DIRECT | libc::O_ASYNC;
    let end = reopen(from, flags & !late)?;
    if flags & late != 0 {
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
fn write_closed(w: BorrowedFd<'_>, bytes: &[u8]) -> sys::Result<()> {
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

#[cfg(test)]
mod tests {
    use crate::kind::tests::{Dumped, descriptor, dump, options, restore};
    use crate::options::RestoreOptions;
    use crate::sys::{self, Errno};
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::unistd::{pipe2, read, write};
    use std::os::fd::{AsFd, OwnedFd};

    fn set_packets(w: &OwnedFd, on: bool) {
        let mode = sys::file::flags(w.as_fd()).unwrap() & !libc::O_DIRECT;
        sys::file::set_flags(w.as_fd(), mode | if on { libc::O_DIRECT } else { 0 }).unwrap();
    }

    fn pipe() -> (OwnedFd, OwnedFd) {
        pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap()
    }

    /// All reads that a pipe has to give, with a large buffer.
    fn reads(r: &OwnedFd) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut buffer = vec![0; 1 << 21];
        loop {
            match read(r, &mut buffer) {
                Ok(0) | Err(Errno::EAGAIN) => return all,
                Ok(n) => all.push(buffer[..n].to_vec()),
                Err(e) => panic!("{e}"),
            }
        }
    }

    fn dump_ends(ends: Vec<OwnedFd>) -> Dumped {
        let ends: Vec<_> = ends.into_iter().map(descriptor).collect();
        dump(&options(false), &ends).unwrap()
    }

    /// Dumps a pipe by its write end, reads it, and expects the restored one to give the same reads and to have the same
    /// capacity; `write_more` is written to both before.
    fn same_reads(pipe: (OwnedFd, OwnedFd), write_more: &[u8]) -> Vec<Vec<u8>> {
        let (r, w) = pipe;
        let dumped = dump_ends(vec![w.try_clone().unwrap(), r.try_clone().unwrap()]);
        let size = fcntl(&w, FcntlArg::F_GETPIPE_SZ);
        let more = |w: &OwnedFd| if write_more.is_empty() { Ok(0) } else { write(w, write_more) };
        let wrote = more(&w);
        let before = reads(&r);
        restore(&dumped, &RestoreOptions::default(), |_, ends| {
            assert_eq!(fcntl(&ends[0].copy, FcntlArg::F_GETPIPE_SZ), size);
            assert_eq!(more(&ends[0].copy), wrote);
            let after = reads(&ends[1].copy);
            assert_eq!(after.iter().map(Vec::len).collect::<Vec<_>>(), before.iter().map(Vec::len).collect::<Vec<_>>());
            assert_eq!(after, before);
        })
        .unwrap();
        before
    }

    #[test]
    fn empty_part_and_full_pipes_come_back() {
        assert_eq!(same_reads(pipe(), b""), [] as [Vec<u8>; 0]);
        assert_eq!(same_reads(pipe(), b"x").len(), 1);
        for size in [4096, 65536, 1 << 20] {
            for fill in [1, size / 2, size - 1, size] {
                let (r, w) = pipe();
                fcntl(&w, FcntlArg::F_SETPIPE_SZ(size)).unwrap();
                let bytes: Vec<u8> = (0..fill).map(|i| (i % 251) as u8).collect();
                assert_eq!(write(&w, &bytes), Ok(fill as usize));
                let reads = same_reads((r, w), b"more");
                assert_eq!(reads[0][..fill as usize], bytes);
            }
        }
    }

    #[test]
    fn every_packet_keeps_its_boundaries() {
        for (slots, len) in [(16, 1), (16, 2), (256, 3), (5, 4096), (256, 4096), (1, 1), (1, 700)] {
            let (r, w) = pipe();
            if slots > 16 {
                fcntl(&w, FcntlArg::F_SETPIPE_SZ(slots * 4096)).unwrap();
            }
            set_packets(&w, true);
            for i in 0..slots {
                assert_eq!(write(&w, &vec![i as u8; len]), Ok(len));
            }
            let reads = same_reads((r, w), b"");
            assert_eq!(reads.len(), slots as usize);
            assert!(reads.iter().all(|packet| packet.len() == len));
        }
    }

    #[test]
    fn packets_between_a_stream_keep_their_boundaries() {
        let plans: [&[(usize, bool)]; 6] = [
            &[(5, false), (3, true), (2, false)],
            &[(5, true), (3, false)],
            &[(1, false), (1, true)],
            &[(1, true), (1, false), (1, true), (4096, true), (9000, false)],
            &[(6000, false), (1, true)],
            &[(3, true), (4, true), (5, false), (6, false), (7, true)],
        ];
        for plan in plans {
            // The kernel adds a packet to what a stream left in its last page, but not to what came by tee.
            for closed in [false, true] {
                let (r, w) = pipe();
                for (i, (len, packet)) in plan.iter().enumerate() {
                    set_packets(&w, *packet);
                    let bytes = vec![i as u8; *len];
                    match closed && !packet {
                        true => super::write_closed(w.as_fd(), &bytes).unwrap(),
                        false => assert_eq!(write(&w, &bytes), Ok(*len)),
                    }
                }
                set_packets(&w, false);
                let reads = same_reads((r, w), b"end");
                let packets = plan.iter().filter(|(_, packet)| *packet).count();
                assert!(!closed || reads.len() > packets, "{plan:?}: {reads:?}");
            }
        }
    }

    #[test]
    fn a_pipe_keeps_its_owner_and_mode() {
        let (r, w) = pipe();
        nix::unistd::fchown(&w, Some(1234.into()), Some(4321.into())).unwrap();
        nix::sys::stat::fchmod(&w, nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
        let dumped = dump_ends(vec![r, w]);
        restore(&dumped, &RestoreOptions::default(), |_, ends| {
            for end in ends {
                assert_eq!((end.stat.st_uid, end.stat.st_gid, end.stat.st_mode & 0o777), (1234, 4321, 0o640));
            }
        })
        .unwrap();
    }

    #[test]
    fn a_short_read_of_a_packet_loses_its_rest() {
        let (r, w) = pipe();
        set_packets(&w, true);
        write(&w, b"packet").unwrap();
        write(&w, b"next").unwrap();
        let dumped = dump_ends(vec![r, w]);
        restore(&dumped, &RestoreOptions::default(), |_, ends| {
            let mut two = [0; 2];
            assert_eq!(read(&ends[0].copy, &mut two), Ok(2));
            assert_eq!(&two, b"pa");
            assert_eq!(reads(&ends[0].copy), [b"next"]);
        })
        .unwrap();
    }

    #[test]
    fn flags_and_ends_come_back() {
        let (r, w) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let nonblocking = super::reopen(w.as_fd(), libc::O_WRONLY | libc::O_NONBLOCK).unwrap();
        let both = super::reopen(w.as_fd(), libc::O_RDWR).unwrap();
        set_packets(&w, true);
        sys::file::set_flags(r.as_fd(), libc::O_ASYNC).unwrap();
        let ends: Vec<_> = [r, w, nonblocking, both].into_iter().map(descriptor).collect();
        let before: Vec<_> = ends.iter().map(|d| d.info.flags).collect();
        let dumped = dump(&options(false), &ends).unwrap();
        drop(ends);
        restore(&dumped, &RestoreOptions::default(), |_, ends| {
            assert_eq!(ends.iter().map(|d| d.info.flags).collect::<Vec<_>>(), before);
            assert!(ends.iter().all(|d| d.stat.st_ino == ends[0].stat.st_ino));
        })
        .unwrap();
    }

    #[test]
    fn an_end_that_was_closed_stays_closed() {
        let (r, w) = pipe2(OFlag::O_CLOEXEC).unwrap();
        write(&w, b"last words").unwrap();
        drop(w);
        let dumped = dump_ends(vec![r]);
        restore(&dumped, &RestoreOptions::default(), |cx, ends| {
            cx.close();
            let mut buffer = [0; 32];
            assert_eq!(read(&ends[0].copy, &mut buffer), Ok(10));
            assert_eq!(read(&ends[0].copy, &mut buffer), Ok(0), "the end of the file");
        })
        .unwrap();
        let (r, w) = pipe2(OFlag::O_CLOEXEC).unwrap();
        drop(r);
        let dumped = dump_ends(vec![w]);
        restore(&dumped, &RestoreOptions::default(), |cx, ends| {
            cx.close();
            assert_eq!(write(&ends[0].copy, b"x"), Err(Errno::EPIPE));
        })
        .unwrap();
    }

    #[test]
    fn wrong_packets_are_errors() {
        let (r, w) = pipe();
        set_packets(&w, true);
        write(&w, b"packet").unwrap();
        let mut dumped = dump_ends(vec![r, w]);
        let images = |len: u32| {
            let mut packets = dumped.images.read_all(crate::image::kinds::STASIS_PIPE.single()).unwrap();
            packets[0].stretches[0].len = len;
            let data =
                dumped.images.read_all_with(crate::image::kinds::PIPES_DATA.single(), |r| r.bytes.into()).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let out = crate::image::NewImageDir::create(dir.path(), false).unwrap();
            out.write_all(crate::image::kinds::STASIS_PIPE.single(), &packets).unwrap();
            let mut writer = out.writer(crate::image::kinds::PIPES_DATA.single());
            writer.entry(&data[0].0).unwrap();
            writer.payload(&data[0].1).unwrap();
            writer.finish().unwrap();
            out.seal(&crate::image::ManifestHead { page_size: 4096, ..Default::default() }).unwrap();
            (crate::image::ImageDir::open(dir.path()).unwrap(), dir)
        };
        let changed = [0, 5, 7, u32::MAX].map(images);
        for (images, _dir) in changed {
            dumped.images = images;
            assert!(restore(&dumped, &RestoreOptions::default(), |_, _| ()).is_err());
        }
    }
}
