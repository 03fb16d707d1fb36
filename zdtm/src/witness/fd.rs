//! A process's descriptors.

use super::identity::Labels;
use crate::sys::Kcmp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// A descriptor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fd {
    /// The target; pipes, sockets and anonymous inodes as labels.
    target: String,
    /// Which inode it is: two descriptors with one label refer to one file.
    inode: String,
    /// Which open file description it is; none where the kernel does not tell.
    description: Option<usize>,
    /// Flags in octal, close-on-exec among them.
    flags: String,
    pos: String,
    /// Type and permissions of the inode, in octal.
    mode: String,
    owner: String,
    size: u64,
    /// Links to the inode.
    links: u64,
    /// What else fdinfo says: counters, locks, …
    info: Vec<String>,
}

/// The descriptors of a process by their numbers.
pub fn of(pid: i32, labels: &mut Labels) -> BTreeMap<i32, Fd> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeMap::new() };
    let mut numbers: Vec<i32> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    // Labels follow the order of appearance, which the directory's order is not.
    numbers.sort_unstable();
    numbers.into_iter().filter_map(|number| Some((number, Fd::take(pid, number, labels)?))).collect()
}

impl Fd {
    fn take(pid: i32, number: i32, labels: &mut Labels) -> Option<Fd> {
        let path = format!("/proc/{pid}/fd/{number}");
        let target = fs::read_link(&path).ok()?.to_string_lossy().into_owned();
        let meta = fs::metadata(&path).ok()?;
        let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
        let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("").trim().to_owned();
        let mut info: Vec<String> = text.lines().filter_map(info).collect();
        // The order of what an epoll set watches is that of addresses in the kernel.
        info.sort_unstable();
        Some(Fd {
            target: canonical(&target, labels),
            inode: labels.name("inode", &format!("{}:{}", meta.dev(), meta.ino())),
            description: labels.object(Kcmp::File, pid, number),
            flags: field("flags:"),
            pos: field("pos:"),
            mode: format!("{:o}", meta.mode()),
            owner: format!("{}:{}", meta.uid(), meta.gid()),
            size: if meta.is_dir() { 0 } else { meta.size() },
            links: meta.nlink(),
            info,
        })
    }
}

/// `pipe:[4711]` becomes `pipe#1`; `anon_inode:[eventfd]` and paths stay.
fn canonical(target: &str, labels: &mut Labels) -> String {
    let number = |rest: &str| rest.strip_suffix(']').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    match target.split_once(":[") {
        Some((kind, rest)) if number(rest) => labels.name(kind, rest),
        _ => target.to_owned(),
    }
}

/// A line of fdinfo without what a restore cannot keep; none for lines that are compared elsewhere or not at all.
fn info(line: &str) -> Option<String> {
    // `inotify wd:1 ino:3d sdev:9 mask:2 … f_handle:3d…`: a deleted file that was made again has another inode.
    if line.starts_with("inotify ") || line.starts_with("fanotify ") {
        let inode = |word: &&str| !["ino:", "fhandle-", "f_handle:"].iter().any(|key| word.starts_with(key));
        return Some(line.split_whitespace().filter(inode).collect::<Vec<_>>().join(" "));
    }
    let (key, value) = line.split_once(':')?;
    match key {
        "pos" | "flags" | "mnt_id" | "ino" | "eventfd-id" => None,
        // `1: FLOCK  ADVISORY  WRITE 12 fe:00:4711 0 EOF`: a file that was put back has another inode.
        "lock" => {
            let words = value.split_whitespace().skip(1);
            let kept: Vec<&str> = words.filter(|w| w.bytes().filter(|b| *b == b':').count() != 2).collect();
            Some(format!("lock {}", kept.join(" ")))
        }
        // A map that was made again has another number.
        "map_id" => None,
        // What counts on by itself.
        "ticks" | "it_value" => None,
        // `5 events: 19 data: 7 pos:0 ino:61 sdev:9`: a pipe that was made again has another inode.
        "tfd" => Some(format!("{key} {}", value.split_whitespace().take(5).collect::<Vec<_>>().join(" "))),
        _ => Some(format!("{key} {}", value.split_whitespace().collect::<Vec<_>>().join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_labels() {
        let mut labels = Labels::default();
        assert_eq!(canonical("pipe:[4711]", &mut labels), "pipe#1");
        assert_eq!(canonical("anon_inode:[eventfd]", &mut labels), "anon_inode:[eventfd]");
        assert_eq!(canonical("/a:[1]/b", &mut labels), "/a:[1]/b");
    }

    #[test]
    fn lines_of_fdinfo() {
        assert_eq!(info("pos:\t0"), None);
        assert_eq!(info("eventfd-count:                3"), Some("eventfd-count 3".to_owned()));
        let watched = "tfd:        5 events:       19 data:                7  pos:0 ino:3d sdev:9";
        assert_eq!(info(watched), Some("tfd 5 events: 19 data: 7".to_owned()));
        assert_eq!(info("it_value: (0, 77)"), None);
        let watch = "inotify wd:1 ino:3d sdev:9 mask:2 ignored_mask:0 fhandle-bytes:2 fhandle-type:1 f_handle:3d00";
        assert_eq!(info(watch), Some("inotify wd:1 sdev:9 mask:2 ignored_mask:0".to_owned()));
        let lock = "lock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF";
        assert_eq!(info(lock), Some("lock FLOCK ADVISORY WRITE 359 0 EOF".to_owned()));
    }
}
