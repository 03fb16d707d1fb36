//! Making rings again. The kernel counts what it has taken and made in places of its own, from zero: requests that do
//! nothing bring a new ring to where the program's library remembers it. Then its memory is written.

use super::super::{BatchCall, RestoreContext};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FdinfoEntry, FileEntry, StasisFileEntry, StasisIoUring};
use crate::sys::uring::{self, RINGS, SUBMISSIONS, View, setup};
use crate::sys::{self, Pid};
use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};

/// The most requests that are made up for: a second or so for every ten millions.
const MOST: u32 = 1 << 28;
/// The most slots for buffers and for files that the kernel gives.
const MOST_BUFFERS: u32 = 1 << 14;
const MOST_FILES: u32 = 1 << 20;

/// Bytes of the two parts of a ring's memory that mean something.
pub fn lens((sq, cq): (u32, u32), offsets: &[u32; 14], flags: u32) -> [usize; 2] {
    let [sq, cq] = [sq as usize, cq as usize];
    let size = |flag, small, large| if flags & flag != 0 { large } else { small };
    let array = if flags & setup::NO_SQARRAY != 0 { 0 } else { offsets[6] as usize + sq * 4 };
    let completions = offsets[12] as usize + cq * size(setup::CQE32, 16, 32);
    [array.max(completions), sq * size(setup::SQE128, 64, 128)]
}

/// Makes a ring.
pub fn make(entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
    let ring = cx.extras.get(&entry.id).and_then(|more| more.io_uring.clone());
    let ring = ring.ok_or_else(|| Error::state(format!("the images do not say what ring {} is", entry.id)))?;
    let entries = (ring.sq_entries, ring.cq_entries);
    let made = uring::setup(entries, ring.setup)
        .doing(|| format!("make a ring of {} and {} places", entries.0, entries.1))
        .map_err(|e| e.with_help("is io_uring allowed (sysctl kernel.io_uring_disabled)?"))?;
    if made.entries != entries || made.offsets[..] != ring.offsets[..] {
        let what = format!("the kernel lays out the memory of ring {} in another way than that of the dump", entry.id);
        return Err(Error::state(what).with_help("restore under the same version of the kernel"));
    }
    let [rings, submissions] = lens(entries, &made.offsets, ring.setup);
    if ring.rings.len() != rings || ring.submissions.len() != submissions {
        return Err(Error::state(format!("the images do not hold the whole of ring {}", entry.id)));
    }
    if ring.submitted > MOST {
        let what = format!("ring {} has had {} requests, too many to be made up for", entry.id, ring.submitted);
        return Err(Error::state(what));
    }
    let doing = || format!("bring ring {} to where it was", entry.id);
    let mut view = View::map(made.fd.as_fd(), RINGS, rings).doing(doing)?;
    advance(&made, &view, ring.submitted).doing(doing)?;
    view.write(&ring.rings);
    View::map(made.fd.as_fd(), SUBMISSIONS, submissions).doing(doing)?.write(&ring.submissions);
    sys::file::set_flags(made.fd.as_fd(), ring.flags as i32).doing(|| "set flags of a ring")?;
    cx.set_owner(made.fd.as_fd(), &ring.fown)?;
    Ok(made.fd)
}

/// Has the new ring take and complete requests: zeros, of which its memory is full, are one that does nothing.
fn advance(made: &uring::Made, view: &View, mut count: u32) -> sys::Result<()> {
    const SQ_TAIL: usize = 1;
    const CQ_HEAD: usize = 7;
    while count > 0 {
        let now = count.min(made.entries.0).min(made.entries.1);
        view.add(made.offsets[SQ_TAIL], now);
        if uring::submit(made.fd.as_fd(), now)? != now {
            return Err(sys::Errno::EIO);
        }
        view.add(made.offsets[CQ_HEAD], now);
        count -= now;
    }
    Ok(())
}

/// Registers the files and the eventfds of rings, when all are open and none was handed out yet.
pub fn register(cx: &RestoreContext<'_>) -> Result<()> {
    for (&id, more) in &cx.extras {
        let (Some(ring), Some(fd)) = (&more.io_uring, cx.open.get(&id)) else { continue };
        let lacking = || Error::state(format!("the images lack a file that is registered with ring {id}"));
        if ring.file_slots > 0 {
            let slots = ring.file_slots.min(MOST_FILES) as usize;
            let mut files = vec![None; slots];
            for file in &ring.files {
                let slot = files.get_mut(file.slot as usize).ok_or_else(lacking)?;
                *slot = Some(cx.open.get(&file.file).ok_or_else(lacking)?.as_fd());
            }
            uring::register_files(fd.as_fd(), &files).doing(|| format!("register the files of ring {id}"))?;
        }
        if let Some(eventfd) = ring.eventfd {
            let eventfd = cx.open.get(&eventfd).ok_or_else(lacking)?;
            uring::register_eventfd(fd.as_fd(), eventfd.as_fd())
                .doing(|| format!("register the eventfd of ring {id}"))?;
        }
    }
    Ok(())
}

/// The calls by which the process `pid` registers its buffers with the rings of its table; `more` is what stands beside the
/// files, `done` holds the rings that have theirs.
pub fn register_buffers(
    pid: Pid,
    table: &[FdinfoEntry],
    more: &[StasisFileEntry],
    done: &mut HashSet<u32>,
) -> Result<Vec<BatchCall>> {
    let mut calls = Vec::new();
    for (more, ring) in more.iter().filter_map(|more| Some((more, more.io_uring.as_ref()?))) {
        let own = ring.pid == Some(pid.as_raw() as u32) && ring.buffer_slots > 0;
        let Some(fd) = table.iter().find(|fd| own && fd.id == more.id) else { continue };
        if done.insert(more.id) {
            calls.push(buffers(fd.fd, ring)?);
        }
    }
    Ok(calls)
}

fn buffers(fd: u32, ring: &StasisIoUring) -> Result<BatchCall> {
    let slots = ring.buffer_slots.min(MOST_BUFFERS) as usize;
    // struct iovec: address and length; zeros for a slot without a buffer.
    let mut list = vec![[0u64; 2]; slots];
    for buffer in &ring.buffers {
        let slot = list.get_mut(buffer.slot as usize);
        *slot.ok_or_else(|| Error::state("a buffer of a ring in the images has no slot"))? =
            [buffer.start, buffer.len.into()];
    }
    let (nr, operation) = uring::REGISTER;
    let bytes = list.iter().flatten().flat_map(|word| word.to_ne_bytes()).collect();
    let args = [fd.into(), operation, 0, slots as u64, 0, 0];
    let doing = format!("register the buffers of the ring that is descriptor {fd}");
    Ok(BatchCall { nr, args, data: Some((2, bytes)), doing })
}
