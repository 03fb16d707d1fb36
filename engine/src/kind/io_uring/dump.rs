//! What a ring is, found out without changing it: by fdinfo, by calls that fail in one way or another, and by a twin that
//! the engine makes.

use super::super::{Descriptor, DumpContext};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{
    FdTypes, FdinfoEntry, FileEntry, StasisFileEntry, StasisIoUring, StasisIoUringBuffer, StasisIoUringFile,
};
use crate::proc::fdinfo::{self, Body};
use crate::proc::uring::IoUring;
use crate::proc::{ProcDir, maps::Mapping};
use crate::sys::uring::{self, Made, RINGS, SUBMISSIONS, View, setup};
use crate::sys::{self, Errno, Pid};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The rings of a tree that is dumped.
#[derive(Debug, Default)]
pub struct Rings {
    /// Each with its descriptor.
    pub found: Vec<Found>,
    /// Which thread has which ring, by its file id, in its memory.
    mapped: Vec<(u32, Pid)>,
}

/// A ring.
#[derive(Debug)]
pub struct Found {
    id: u32,
    inode: u64,
    pid: Pid,
    number: i32,
    copy: OwnedFd,
    what: String,
    has_eventfd: bool,
    twin: Made,
    setup: u32,
    entry: StasisIoUring,
}

impl Rings {
    /// The file id of the ring of which a thread has a mapping.
    pub fn of_mapping(&mut self, thread: Pid, mapping: &Mapping) -> Option<u32> {
        let id = self.found.iter().find(|ring| ring.inode == mapping.inode)?.id;
        self.mapped.push((id, thread));
        Some(id)
    }
}

/// Looks at a ring whose requests may still be under way.
pub fn look(descriptor: &Descriptor, id: u32) -> Result<Found> {
    let ring = state(&descriptor.info.body).ok_or_else(|| refusal(descriptor, "the kernel does not show its state"))?;
    let copy = descriptor.copy.as_fd();
    let entries = (ring.sq_mask.wrapping_add(1), ring.cq_mask.wrapping_add(1));
    let (twin, setup) = sizes(copy)
        .and_then(|wanted| twin(entries, wanted))
        .doing(|| format!("make a ring like {}", descriptor.describe()))?
        .ok_or_else(|| refusal(descriptor, "its memory is not laid out in a way that is known"))?;
    if let Some(reason) = odd(ring, copy, &twin).doing(|| format!("look at {}", descriptor.describe()))? {
        return Err(refusal(descriptor, reason));
    }
    let has_eventfd =
        uring::has_eventfd(copy).doing(|| format!("look for the eventfd of {}", descriptor.describe()))?;
    let entry = StasisIoUring {
        flags: descriptor.flags(),
        fown: descriptor.owner()?,
        setup: setup | setup::SUBMIT_ALL,
        sq_entries: entries.0,
        cq_entries: entries.1,
        offsets: twin.offsets.to_vec(),
        buffer_slots: ring.buffer_slots,
        file_slots: ring.file_slots,
        ..StasisIoUring::default()
    };
    Ok(Found {
        id,
        inode: descriptor.stat.st_ino,
        pid: descriptor.pid,
        number: descriptor.fd,
        copy: copy.try_clone_to_owned().doing(|| format!("copy {}", descriptor.describe()))?,
        what: descriptor.describe(),
        has_eventfd,
        twin,
        setup,
        entry,
    })
}

fn state(body: &Body) -> Option<&IoUring> {
    match body {
        Body::IoUring(ring) => Some(ring),
        _ => None,
    }
}

fn refusal(descriptor: &Descriptor, reason: &str) -> Error {
    Error::unsupported(descriptor.describe(), reason).with_help("close the ring before the dump")
}

/// Why a ring cannot be made again.
fn odd(ring: &IoUring, copy: BorrowedFd<'_>, twin: &Made) -> sys::Result<Option<&'static str>> {
    match uring::probe(copy) {
        Err(Errno::EEXIST) => return Ok(Some("only one thread may use it (IORING_SETUP_SINGLE_ISSUER)")),
        Err(Errno::EACCES) => return Ok(Some("it is restricted")),
        other => other?,
    }
    match uring::look(copy) {
        Err(Errno::EBADFD) => return Ok(Some("it is not enabled yet (IORING_SETUP_R_DISABLED)")),
        Err(Errno::EEXIST) => return Ok(Some("only one thread may use it (IORING_SETUP_DEFER_TASKRUN)")),
        other => other?,
    }
    let fresh = twin.fd.as_fd();
    // Kernels that cannot tell say the same of the twin.
    let polls = || uring::refuses_napi(copy) && !uring::refuses_napi(fresh);
    let grouped = |group| uring::has_buffer_group(copy, group);
    let groups = || !uring::has_buffer_group(fresh, 0) && (0..=u16::MAX).any(grouped);
    let reasons: [(&dyn Fn() -> bool, _); 5] = [
        (&|| ring.sq_thread.is_some_and(|thread| thread >= 0), "it has a kernel thread (IORING_SETUP_SQPOLL)"),
        (&|| ring.personalities > 0, "credentials are registered with it"),
        (&|| ring.napi, "it polls network devices"),
        (&polls, "it polls (IORING_SETUP_IOPOLL)"),
        (&groups, "its requests choose from groups of buffers"),
    ];
    Ok(reasons.iter().find(|(holds, _)| holds()).map(|(_, reason)| *reason))
}

/// Pages of the two parts of a ring. All of them are there as soon as a part is mapped. Some kernels map no more than there
/// is, others (as of 6.18) leave the rest empty.
fn sizes(fd: BorrowedFd<'_>) -> sys::Result<[usize; 2]> {
    // 65536 completions of 32 bytes, 32768 submissions of 128 bytes.
    const MOST: usize = 8 << 20;
    let size = |part| {
        let mut len = MOST;
        let view = loop {
            match View::map(fd, part, len) {
                Err(Errno::EINVAL) if len > sys::page_size() as usize => len /= 2,
                other => break other?,
            }
        };
        Ok(view.present())
    };
    Ok([size(RINGS)?, size(SUBMISSIONS)?])
}

/// A new ring of the same size, and what it was set up with to have the same size in memory.
fn twin(entries: (u32, u32), wanted: [usize; 2]) -> sys::Result<Option<(Made, u32)>> {
    let sizes_of = [0, setup::NO_SQARRAY, setup::CQE32, setup::SQE128, setup::SQE128 | setup::CQE32];
    for flags in sizes_of {
        let twin = match uring::setup(entries, flags) {
            Err(Errno::EINVAL) if flags != 0 => continue,
            other => other?,
        };
        if twin.entries == entries && sizes(twin.fd.as_fd())? == wanted {
            return Ok(Some((twin, flags)));
        }
    }
    Ok(None)
}

/// Completes the entries of rings, when all descriptors and areas are known and the tasks have run what they had to run
/// inside the kernel. `tables` are the descriptors of each live process: its pid, a thread of it and its table; `links`
/// where descriptors of files point.
pub fn settle(
    cx: &mut DumpContext<'_>,
    tables: &[(Pid, Pid, &[FdinfoEntry])],
    files: &[FileEntry],
    links: &[(Vec<u8>, u32)],
) -> Result<()> {
    let Rings { found, mapped } = std::mem::take(&mut cx.rings);
    for mut ring in found {
        let now = ring.await_idle(cx.options.common.timeout)?;
        let holders: Vec<_> = tables.iter().filter(|(.., table)| table.iter().any(|fd| fd.id == ring.id)).collect();
        ring.entry.submitted = now.submitted;
        let [rings, submissions] = ring.contents()?;
        (ring.entry.rings, ring.entry.submissions) = (rings, submissions);
        for (slot, path) in now.files {
            let file =
                ring.only("registered file", &path, links.iter().filter(|(link, _)| *link == path).map(|l| l.1))?;
            ring.entry.files.push(StasisIoUringFile { slot, file });
        }
        let buffers = now.buffers.iter().map(|&(slot, start, len)| StasisIoUringBuffer { slot, start, len });
        ring.entry.buffers = buffers.collect();
        if now.buffer_slots > 0 {
            let mappers = holders.iter().filter(|(_, thread, _)| mapped.contains(&(ring.id, *thread)));
            let owners = if holders.len() == 1 { holders.clone() } else { mappers.copied().collect() };
            let owner =
                ring.only("process with its buffers", b"", owners.iter().map(|(pid, ..)| pid.as_raw() as u32))?;
            ring.entry.pid = Some(owner);
        }
        if ring.has_eventfd {
            let held = |id: u32| holders.iter().any(|(.., table)| table.iter().any(|fd| fd.id == id));
            let eventfds = files.iter().filter(|file| file.r#type() == FdTypes::Eventfd && held(file.id));
            ring.entry.eventfd = Some(ring.only("registered eventfd", b"", eventfds.map(|file| file.id))?);
        }
        let io_uring = Some(ring.entry);
        cx.extras.push(StasisFileEntry { id: ring.id, io_uring, ..StasisFileEntry::default() });
    }
    Ok(())
}

impl Found {
    /// Waits until as many requests have completed as were submitted. Those that only wait for something show.
    fn await_idle(&self, timeout: Duration) -> Result<IoUring> {
        const PATIENCE: Duration = Duration::from_millis(500);
        let begun = Instant::now();
        loop {
            let dir = ProcDir::open(self.pid)?;
            let info = fdinfo::read(&dir, self.number, &mut Vec::new())?;
            let now = state(&info.body).ok_or_else(|| Error::state(format!("{} is no ring any more", self.what)))?;
            let refuse = |reason: String| {
                Err(Error::unsupported(self.what.clone(), reason).with_help("dump again when its requests are through"))
            };
            if let Some(request) = now.waiting.first() {
                let request = String::from_utf8_lossy(request);
                return refuse(format!("{} requests wait in it ({request})", now.waiting.len()));
            }
            if now.overflown > 0 {
                return refuse(format!("there was no place for {} of its completions", now.overflown));
            }
            if now.submitted == now.completed {
                return Ok(now.clone());
            }
            if begun.elapsed() > PATIENCE.min(timeout) {
                return refuse(format!(
                    "its counters differ: {} requests submitted, {} completed. Some are under way, or not each has had one \
                     completion",
                    now.submitted, now.completed
                ));
            }
            crate::cancel::check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What is in its memory.
    fn contents(&self) -> Result<[Vec<u8>; 2]> {
        let lens = super::restore::lens(self.twin.entries, &self.twin.offsets, self.setup);
        let read = |part, len| View::map(self.copy.as_fd(), part, len).map(|view| view.bytes());
        let both = read(RINGS, lens[0]).and_then(|rings| Ok([rings, read(SUBMISSIONS, lens[1])?]));
        both.doing(|| format!("read the rings of {}", self.what))
    }

    /// The only one of some candidates.
    fn only(&self, kind: &str, name: &[u8], candidates: impl Iterator<Item = u32>) -> Result<u32> {
        let all: Vec<u32> = candidates.collect();
        if let [only] = all.as_slice() {
            return Ok(*only);
        }
        let name = String::from_utf8_lossy(name);
        let reason = format!("its {kind} {name} is one of {} that the tree has, and does not show which", all.len());
        Err(Error::unsupported(self.what.clone(), reason).with_help("keep one descriptor of what is registered open"))
    }
}
