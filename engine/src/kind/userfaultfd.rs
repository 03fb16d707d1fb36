//! A userfaultfd: its features, the ranges that are registered with it, which of their pages are write-protected or
//! missing, its flags and its owner survive. A thread that waits in a fault faults again. Whether only faults of user mode
//! were asked for (UFFD_USER_MODE_ONLY) shows nowhere and is lost.

use super::context::Late;
use super::{BatchCall, Descriptor, DumpContext, Kind, RestoreContext};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{
    FdTypes, FdinfoEntry, FileEntry, StasisFileEntry, StasisPageRun, StasisUserfaultfd, StasisUserfaultfdRange,
};
use crate::proc::fdinfo::Body;
use crate::sys::{Errno, Pid, userfault};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See the module.
pub struct Userfaultfd;

/// The kernel's mark that the features were chosen.
const INITIALIZED: u32 = 1 << 31;
/// UFFDIO_REGISTER_MODE_*.
pub mod mode {
    /// Pages that are not there.
    pub const MISSING: u32 = 1;
    /// Write-protected pages.
    pub const WP: u32 = 2;
    /// Pages that are there but not mapped.
    pub const MINOR: u32 = 4;
}

impl Kind for Userfaultfd {
    fn fd_type(&self) -> FdTypes {
        FdTypes::Userfaultfd
    }

    fn claims(&self, descriptor: &Descriptor) -> bool {
        matches!(descriptor.info.body, Body::Userfaultfd(_))
    }

    fn dump(&self, descriptor: &Descriptor, id: u32, cx: &mut DumpContext<'_>) -> Result<FileEntry> {
        let Body::Userfaultfd(state) = &descriptor.info.body else {
            return Err(Error::state(format!("{} is no userfaultfd", descriptor.describe())));
        };
        // Those of the tree's own threads are gone when it is frozen: they fault again.
        if state.total > 0 && !cx.refusals.are_noted() {
            return Err(Error::unsupported(descriptor.describe(), "a fault waits in it that cannot be repeated")
                .with_help("dump again when the fault was resolved"));
        }
        let features = (state.features & INITIALIZED != 0).then_some(u64::from(state.features & !INITIALIZED));
        let entry = StasisUserfaultfd {
            flags: descriptor.flags(),
            fown: descriptor.owner()?,
            pid: 0,
            features,
            ranges: Vec::new(),
        };
        let fd = descriptor.copy.try_clone().doing(|| format!("copy {}", descriptor.describe()))?;
        cx.userfaults.found.push(Found { id, fd, what: descriptor.describe(), entry });
        Ok(FileEntry { r#type: FdTypes::Userfaultfd as i32, id, ..FileEntry::default() })
    }

    fn needs(&self, _: &FileEntry) -> Vec<u32> {
        Vec::new()
    }

    /// The task whose memory it watches has made it: see [`of_task`]. What is registered has to wait until nobody touches
    /// the task's memory any more.
    fn restore(&self, entry: &FileEntry, cx: &mut RestoreContext<'_>) -> Result<OwnedFd> {
        let more = cx.extras.get(&entry.id).and_then(|more| more.userfaultfd.clone());
        let (Some(made), Some(more)) = (cx.userfaults.remove(&entry.id), more) else {
            let what = format!("the images do not say whose memory userfaultfd {} watches", entry.id);
            return Err(Error::state(what));
        };
        if let Some(features) = more.features {
            userfault::api(made.as_fd(), features)
                .doing(|| format!("choose the features {features:#x} of a userfaultfd"))?;
        }
        crate::sys::file::set_flags(made.as_fd(), more.flags as i32).doing(|| "set flags of a userfaultfd")?;
        cx.set_owner(made.as_fd(), &more.fown)?;
        cx.later(made.as_fd(), Late::Registrations(more.ranges))?;
        Ok(made)
    }

    fn attach(&self, _: &FileEntry, _: i32, _: &HashMap<u32, FileEntry>) -> Vec<BatchCall> {
        Vec::new()
    }
}

/// The userfaultfds of a tree that is dumped, and what is registered with them.
#[derive(Debug, Default)]
pub struct Userfaults {
    found: Vec<Found>,
    /// Registered ranges, each with a thread of its process and that process.
    pub registered: Vec<(Pid, StasisUserfaultfdRange)>,
}

/// One of them.
#[derive(Debug)]
struct Found {
    id: u32,
    fd: OwnedFd,
    what: String,
    entry: StasisUserfaultfd,
}

/// Finds out whose memory each watches and which ranges are registered with it, when all descriptors and areas are known.
/// `tables` are the descriptors of each live process: its pid, a thread of it and its table.
pub fn settle(cx: &mut DumpContext<'_>, tables: &[(Pid, Pid, &[FdinfoEntry])]) -> Result<()> {
    let Userfaults { found, registered } = std::mem::take(&mut cx.userfaults);
    let watched = |thread: Pid| registered.iter().any(|(of, _)| *of == thread);
    let mut owned = Vec::with_capacity(found.len());
    for one in found {
        let holders = tables.iter().filter(|(.., table)| table.iter().any(|fd| fd.id == one.id));
        let holders: Vec<(Pid, Pid)> = holders.map(|(pid, thread, _)| (*pid, *thread)).collect();
        let watchers: Vec<(Pid, Pid)> = holders.iter().copied().filter(|(_, thread)| watched(*thread)).collect();
        // A fork hands down the descriptor, but no registration.
        let owner = match (holders.as_slice(), watchers.as_slice()) {
            ([only], _) | (_, [only]) => *only,
            _ => {
                let reason = "several processes have it, and it does not show whose memory it watches";
                return Err(Error::unsupported(one.what, reason).with_help("close it in all processes but one"));
            }
        };
        owned.push((owner, one));
    }
    for (thread, range) in registered {
        let mut of_process: Vec<_> = owned.iter_mut().filter(|((_, of), _)| *of == thread).collect();
        let several = of_process.len() > 1;
        // What is registered already is registered once more, which changes nothing, or refused.
        let is_its = |fd: BorrowedFd<'_>| {
            let again = userfault::register(fd, range.start, range.end - range.start, range.modes);
            !several || again != Err(Errno::EBUSY) && again.is_ok()
        };
        match of_process.iter_mut().find(|(_, one)| is_its(one.fd.as_fd())) {
            Some((_, one)) => {
                check(thread, &range, one.entry.features.unwrap_or(0))?;
                one.entry.ranges.push(range);
            }
            None => {
                let object = format!("task {thread}: memory area {:x}-{:x}", range.start, range.end);
                let reason = "it is registered with a userfaultfd that its process does not have";
                return Err(Error::unsupported(object, reason));
            }
        }
    }
    for ((pid, _), Found { id, entry, .. }) in owned {
        let userfaultfd = Some(StasisUserfaultfd { pid: pid.as_raw() as u32, ..entry });
        cx.extras.push(StasisFileEntry { id, userfaultfd, ..StasisFileEntry::default() });
    }
    Ok(())
}

/// Refuses a range whose pages cannot be read without a fault: where missing pages are watched and pages that are not there
/// are write-protected, the page map shows these like swapped ones.
fn check(thread: Pid, range: &StasisUserfaultfdRange, features: u64) -> Result<()> {
    const WP_UNPOPULATED: u64 = 1 << 13;
    const WP_ASYNC: u64 = 1 << 15;
    let both = mode::MISSING | mode::WP;
    if range.modes & both == both && features & (WP_UNPOPULATED | WP_ASYNC) != 0 && !range.protected.is_empty() {
        let object = format!("task {thread}: memory area {:x}-{:x}", range.start, range.end);
        let reason = "a userfaultfd write-protects its missing pages (UFFD_FEATURE_WP_UNPOPULATED)";
        return Err(Error::unsupported(object, reason));
    }
    Ok(())
}

/// The userfaultfds of the images that watch the memory of a process, with their ids.
pub fn of_task<'c>(cx: &'c RestoreContext<'_>, pid: Pid) -> Vec<(u32, &'c StasisUserfaultfd)> {
    let all = cx.extras.values().filter_map(|more| Some((more.id, more.userfaultfd.as_ref()?)));
    let mut own: Vec<_> = all.filter(|(_, entry)| entry.pid == pid.as_raw() as u32).collect();
    own.sort_by_key(|(id, _)| *id);
    own
}

/// The madvise(2) calls by which a task maps the pages that must raise no minor faults, and no others, before ranges are
/// registered. The kernel maps neighbours too.
pub fn populate(entry: &StasisUserfaultfd) -> Vec<[u64; 3]> {
    const MADV_POPULATE_READ: u64 = 22;
    const MADV_DONTNEED: u64 = libc::MADV_DONTNEED as u64;
    let mut calls = Vec::new();
    for range in entry.ranges.iter().filter(|range| range.modes & mode::MINOR != 0) {
        let run = |start: u64, end: u64, advice| [start, end.saturating_sub(start), advice];
        calls.extend(range.mapped.iter().map(|mapped| run(mapped.start, mapped.end, MADV_POPULATE_READ)));
        let mut at = range.start;
        for (start, end) in range.mapped.iter().map(|mapped| (mapped.start, mapped.end)).chain([(range.end, range.end)])
        {
            if at < start {
                calls.push(run(at, start, MADV_DONTNEED));
            }
            at = at.max(end);
        }
    }
    calls
}

/// Registers ranges and write-protects their pages.
pub fn register(fd: BorrowedFd<'_>, ranges: &[StasisUserfaultfdRange]) -> Result<()> {
    let len = |start: u64, end: u64| end.saturating_sub(start);
    for range in ranges {
        let (start, end) = (range.start, range.end);
        userfault::register(fd, start, len(start, end), range.modes)
            .doing(|| format!("register the memory {start:x}-{end:x} with a userfaultfd"))?;
        for &StasisPageRun { start, end } in &range.protected {
            userfault::protect(fd, start, len(start, end))
                .doing(|| format!("write-protect the memory {start:x}-{end:x} by a userfaultfd"))?;
        }
    }
    Ok(())
}
