//! inotify and fanotify: watches, marks, and the events that came.

use crate::gate::{Verdict, check_eq};
use crate::tools_files::{c_path, owned, read_once};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Events as they are compared: watch, mask and name.
pub type Events = Vec<(i32, u32, String)>;

/// An inotify instance that never blocks.
pub fn inotify() -> Verdict<OwnedFd> {
    // SAFETY: integers only.
    owned(unsafe { libc::inotify_init1(libc::IN_NONBLOCK) }.into())
}

/// Watches a path; returns the watch's number.
pub fn add(fd: &OwnedFd, path: &Path, mask: u32) -> Verdict<i32> {
    let path = c_path(path)?;
    // SAFETY: the path outlives the call.
    Ok(Errno::result(unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), mask) })?)
}

/// Ends a watch, and takes the notice of that.
pub fn remove(fd: &OwnedFd, number: i32) -> Verdict {
    // SAFETY: integers only.
    Errno::result(unsafe { libc::inotify_rm_watch(fd.as_raw_fd(), number) })?;
    check_events("the end of a watch", fd, &[(number, libc::IN_IGNORED, "")])
}

/// The events that wait in an instance.
pub fn events(fd: &OwnedFd) -> Verdict<Events> {
    let data = match read_once(fd, 1 << 16) {
        Err(Errno::EAGAIN) => return Ok(Vec::new()),
        other => other?,
    };
    let word = |at: usize| u32::from_ne_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
    let (mut at, mut found) = (0, Vec::new());
    while at < data.len() {
        let end = at + 16 + word(at + 12) as usize;
        let name = data[at + 16..end].split(|byte| *byte == 0).next().unwrap_or_default();
        found.push((word(at) as i32, word(at + 4), String::from_utf8_lossy(name).into_owned()));
        at = end;
    }
    Ok(found)
}

/// Fails unless exactly these events wait.
#[track_caller]
pub fn check_events(what: &str, fd: &OwnedFd, wanted: &[(i32, u32, &str)]) -> Verdict {
    let wanted: Events = wanted.iter().map(|(wd, mask, name)| (*wd, *mask, (*name).to_owned())).collect();
    check_eq(what, events(fd)?, wanted)
}

/// The lines of fdinfo that tell of watches and marks, without what a file that was made again has anew.
pub fn watches(fd: &OwnedFd) -> Verdict<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    let kept = |word: &&str| !["ino:", "fhandle-", "f_handle:"].iter().any(|key| word.starts_with(key));
    let line = |line: &str| line.split_whitespace().filter(kept).collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = text.lines().filter(|line| line.contains("notify ")).map(line).collect();
    lines.sort_unstable();
    Ok(lines)
}

/// A fanotify group.
pub fn fanotify(flags: u32) -> Verdict<OwnedFd> {
    // SAFETY: integers only.
    owned(unsafe { libc::fanotify_init(flags | libc::FAN_NONBLOCK, libc::O_RDONLY as u32) }.into())
}

/// Sets a mark.
pub fn mark(fd: &OwnedFd, flags: u32, mask: u64, path: &Path) -> Verdict {
    let path = c_path(path)?;
    let flags = flags | libc::FAN_MARK_ADD;
    // SAFETY: the path outlives the call.
    let done = unsafe { libc::fanotify_mark(fd.as_raw_fd(), flags, mask, libc::AT_FDCWD, path.as_ptr()) };
    Ok(Errno::result(done).map(drop)?)
}

/// An event of a group: its mask, the file that came with it, and what else came.
#[derive(Debug)]
pub struct Event {
    /// FAN_*.
    pub mask: u64,
    /// The file.
    pub file: Option<OwnedFd>,
    /// The information records.
    pub records: Vec<u8>,
}

/// The events that wait in a group.
pub fn fan_events(fd: &OwnedFd) -> Verdict<Vec<Event>> {
    let data = match read_once(fd, 1 << 16) {
        Err(Errno::EAGAIN) => return Ok(Vec::new()),
        other => other?,
    };
    // struct fanotify_event_metadata: length, version, reserved, its own length, mask, descriptor, pid.
    let (mut at, mut found) = (0, Vec::new());
    while at < data.len() {
        let len = u32::from_ne_bytes(data[at..at + 4].try_into()?) as usize;
        let head = usize::from(u16::from_ne_bytes(data[at + 6..at + 8].try_into()?));
        let number = i32::from_ne_bytes(data[at + 16..at + 20].try_into()?);
        found.push(Event {
            mask: u64::from_ne_bytes(data[at + 8..at + 16].try_into()?),
            file: if number < 0 { None } else { Some(owned(number.into())?) },
            records: data[at + head..at + len].to_vec(),
        });
        at += len;
    }
    Ok(found)
}

/// The masks of the events that wait.
pub fn masks(fd: &OwnedFd) -> Verdict<Vec<u64>> {
    Ok(fan_events(fd)?.iter().map(|event| event.mask).collect())
}
