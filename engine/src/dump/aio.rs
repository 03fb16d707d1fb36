//! Contexts of asynchronous I/O. What has completed is in their rings, which are saved like private memory. Nothing tells
//! of requests that have not completed yet: the dump goes on when none has completed for a while, and no disk had anything
//! to do at some moment of it. Where disks never rest, with the work of others, it waits longer.

use crate::aio::{HEADER, Header, requests};
use crate::error::{Doing, Error, Result};
use crate::image::proto::AioRingEntry;
use crate::proc::maps::{AddrRange, Name};
use crate::proc::smaps::Area;
use crate::remote::{Batch, Handle};
use crate::sys::{self, Pid, RemoteAddr};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// How long nothing must have completed. Requests that wait in a frozen tree are those to a disk, which takes some
/// milliseconds.
const QUIET: Duration = Duration::from_millis(20);
/// The same where a disk had something to do all the time: a request of the tree may be in its queue.
const QUIET_DISKS: Duration = Duration::from_millis(500);

/// The rings among areas.
pub fn rings(areas: &[Area]) -> Vec<AddrRange> {
    areas.iter().filter(|a| a.mapping.kind() == Name::AioRing).map(|a| a.mapping.range).collect()
}

/// Waits until the requests of a frozen task have completed.
pub fn settle(pid: Pid, rings: &[AddrRange], timeout: Duration) -> Result<()> {
    if rings.is_empty() {
        return Ok(());
    }
    let begun = Instant::now();
    let mut before = headers(pid, rings)?;
    let mut since = Instant::now();
    let disks = Disks::find();
    let mut rested = false;
    while since.elapsed() < QUIET || !rested && since.elapsed() < QUIET_DISKS {
        crate::cancel::check()?;
        std::thread::sleep(Duration::from_millis(1));
        rested = rested || disks.rest();
        let now = headers(pid, rings)?;
        if now != before {
            (before, since) = (now, Instant::now());
        }
        if begun.elapsed() > timeout + QUIET_DISKS {
            let what = format!("requests of asynchronous I/O of task {pid} go on completing");
            return Err(Error::state(what).with_help("raise --timeout"));
        }
    }
    Ok(())
}

/// The block devices of the machine (/sys/block).
struct Disks(Vec<File>);

impl Disks {
    /// Those that tell what they are about.
    fn find() -> Disks {
        let all = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
        Disks(all.filter_map(|disk| File::open(disk.path().join("inflight")).ok()).collect())
    }

    /// Whether none has a request that it has not completed. False where no disk is seen.
    fn rest(&self) -> bool {
        let idle = |disk: &File| {
            let mut text = [0; 64];
            let len = disk.read_at(&mut text, 0).unwrap_or(0);
            len > 0 && is_idle(&text[..len])
        };
        !self.0.is_empty() && self.0.iter().all(idle)
    }
}

/// Whether a file `inflight` counts nothing: reads and writes under way.
fn is_idle(inflight: &[u8]) -> bool {
    inflight.split(u8::is_ascii_whitespace).all(|count| count.is_empty() || count == b"0")
}

fn headers(pid: Pid, rings: &[AddrRange]) -> Result<Vec<Header>> {
    rings.iter().map(|ring| header(pid, *ring)).collect()
}

fn header(pid: Pid, ring: AddrRange) -> Result<Header> {
    let mut bytes = [0; HEADER as usize];
    let mem = sys::mem::open(pid, false).doing(|| format!("open the memory of task {pid}"))?;
    sys::mem::read_forced(&mem, RemoteAddr(ring.start), &mut bytes)
        .doing(|| format!("read {} of task {pid}", describe(ring)))?;
    Header::parse(&bytes, ring.len()).ok_or_else(|| {
        let object = format!("task {pid}: {}", describe(ring));
        Error::unsupported(object, "its header is not as the kernel wrote it")
    })
}

fn describe(ring: AddrRange) -> String {
    format!("the ring of asynchronous I/O {:x}-{:x} (/[aio])", ring.start, ring.end)
}

/// The question whether a ring is that of a context of the task.
#[derive(Debug)]
pub struct Question(AddrRange, Handle);

/// Adds the question to a batch of the task: it takes no event.
pub fn ask(ring: AddrRange, batch: &mut Batch) -> Question {
    Question(ring, batch.try_call(libc::SYS_io_getevents, &[ring.start, 0, 0, 0, 0]))
}

impl Question {
    /// The context's entry, or why there is none: a child inherits the ring of its parent, but not the context.
    pub fn answer(&self, pid: Pid, batch: &Batch) -> Result<AioRingEntry> {
        let Question(ring, call) = self;
        match batch.result(*call) {
            Ok(_) => Ok(AioRingEntry { id: ring.start, nr_req: requests(ring.len()), ring_len: ring.len() as u32 }),
            Err(_) => Err(Error::unsupported(
                format!("task {pid}: {}", describe(*ring)),
                "it belongs to no context of this process, but to one of the process that it was forked from",
            )
            .with_help("unmap the ring in the child, or execute a program there")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_has_nothing_to_do_is_idle() {
        for (text, idle) in
            [("       0        0\n", true), ("       1        0\n", false), ("       0       10\n", false)]
        {
            assert_eq!(is_idle(text.as_bytes()), idle, "{text}");
        }
    }
}
