//! Files of /proc. Most are what their path says and are opened by it again, also those that are bound to an address
//! space when they are opened: a restored task has its own from its birth. Those of threads, descriptors and mappings
//! are opened last. Those of a task that has exited tell nothing but that; they are opened again while a short-lived
//! process stands in for it. There is no such stand-in for a thread, a descriptor or a mapping that is gone.

use super::{Descriptor, DumpContext, RestoreContext, regfile};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{FileEntry, RegFileEntry};
use crate::proc::ProcDir;
use crate::sys::{self, Pid};
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::{fstat, lstat, major};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};

/// Directories whose entries come and go with descriptors and mappings, which do not exist yet when other files are
/// opened again.
const OF_PARTS: &[&[u8]] = &[b"fd", b"fdinfo", b"map_files"];
/// The inode of each /proc's root directory.
const ROOT_INO: u64 = 1;

/// Whether a file is one of /proc.
pub fn is_on(file: BorrowedFd<'_>) -> sys::Result<bool> {
    // It has an anonymous device, like every file system without a disk.
    Ok(major(fstat(file)?.st_dev) == 0 && fstatfs(file)?.filesystem_type() == PROC_SUPER_MAGIC)
}

/// What a file of /proc is when it is dumped.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Its path leads to it, or it is no file of /proc.
    There,
    /// Its path leads to it when the rest of the tree is there.
    Late,
    /// It is about a task that has exited.
    Dead(Pid),
}

/// Finds out how a file of /proc can be opened again; one that cannot is refused.
pub fn check(descriptor: &Descriptor, cx: &mut DumpContext<'_>) -> Result<Found> {
    let doing = || format!("look at the file system of {}", descriptor.describe());
    if major(descriptor.stat.st_dev) != 0 || !is_on(descriptor.copy.as_fd()).doing(doing)? {
        return Ok(Found::There);
    }
    let root = std::fs::File::open("/").doing(|| "open the root directory")?;
    let Some(place) = Place::of(&descriptor.link, root.as_fd()) else {
        return check_mount(descriptor, cx).map(|()| Found::There);
    };
    let alive = lstat(descriptor.link.as_slice())
        .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (descriptor.stat.st_dev, descriptor.stat.st_ino));
    if alive {
        return Ok(if place.is_late(&cx.threads) { Found::Late } else { Found::There });
    }
    let refuse = |of: &str| {
        let reason = format!("it belongs to a {of} that is gone; such files of /proc are not supported yet");
        Err(Error::unsupported(descriptor.describe(), reason).with_help("close the file before the dump"))
    };
    match (place.thread(), place.is_of_part()) {
        (Some(thread), _) if thread != place.pid => refuse("thread"),
        (_, true) => refuse("descriptor or a mapping"),
        _ => Ok(Found::Dead(place.pid)),
    }
}

/// Refuses a file that was opened through a mount of a task's directory of /proc where the task will not be there any
/// more, or will be a new one: the mount shows nothing then.
fn check_mount(descriptor: &Descriptor, cx: &mut DumpContext<'_>) -> Result<()> {
    let Some(part) = cx.mounts()?.part_of_proc(descriptor)? else { return Ok(()) };
    let Some(task) = part.split(|byte| *byte == b'/').nth(1).and_then(number) else { return Ok(()) };
    if !cx.tree.contains(&task) && !cx.threads.contains(&task) && ProcDir::open(task).is_ok() {
        return Ok(());
    }
    let reason = format!("it was opened through a mount of /proc/{task}, which ends with that task");
    let help = format!("open it through /proc/{task} itself, or close it before the dump");
    Err(Error::unsupported(descriptor.describe(), reason).with_help(help))
}

/// Whether a file of the images is one of /proc that is there only when threads, descriptors and mappings are.
pub fn is_late(entry: &FileEntry, cx: &RestoreContext<'_>) -> bool {
    of_tree(entry, cx).is_some_and(|place| place.is_late(&cx.threads))
}

/// The same for a directory that a task is in: also one about any task of the tree, or about a task that has exited.
pub fn is_late_directory(entry: &FileEntry, cx: &RestoreContext<'_>) -> bool {
    let about_tree = |place: Place<'_>| cx.tree.contains(&place.pid) || cx.threads.contains(&place.pid);
    cx.ghosts.is_dead(entry.id) || of_tree(entry, cx).is_some_and(about_tree)
}

fn of_tree<'e>(entry: &'e FileEntry, cx: &RestoreContext<'_>) -> Option<Place<'e>> {
    let named = |reg: &&RegFileEntry| !reg.ext() && !cx.ghosts.was_deleted(reg.id);
    Place::of(&entry.reg.as_ref().filter(named)?.name, cx.root)
}

/// Where in /proc a file is that is about a task.
#[derive(Debug, PartialEq, Eq)]
struct Place<'p> {
    /// The task; of a process any thread can be named.
    pid: Pid,
    /// What follows it in the path.
    rest: Vec<&'p [u8]>,
}

impl<'p> Place<'p> {
    /// Looks for /proc, which may be mounted anywhere, in a path below `root`.
    fn of(path: &'p [u8], root: BorrowedFd<'_>) -> Option<Place<'p>> {
        let path = path.strip_suffix(super::ghost::DELETED).unwrap_or(path);
        let mut start = 0;
        for part in path.split(|byte| *byte == b'/') {
            let end = start + part.len();
            if let Some(pid) = number(part)
                && is_root(&path[..start], root)
            {
                let rest = path[end..].split(|byte| *byte == b'/').skip(1).collect();
                return Some(Place { pid, rest });
            }
            start = end + 1;
        }
        None
    }

    /// The thread of the process that it is about, where it says one.
    fn thread(&self) -> Option<Pid> {
        match self.rest.as_slice() {
            [b"task", thread, ..] => number(thread),
            _ => None,
        }
    }

    /// Whether it is of a descriptor or a mapping.
    fn is_of_part(&self) -> bool {
        matches!(self.rest.as_slice(), [.., dir, _] if OF_PARTS.contains(dir))
    }

    fn is_late(&self, threads: &HashSet<Pid>) -> bool {
        self.is_of_part() || [Some(self.pid), self.thread()].iter().flatten().any(|pid| threads.contains(pid))
    }
}

fn number(part: &[u8]) -> Option<Pid> {
    let digits = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(part).ok().filter(|_| digits)?.parse().ok().map(Pid::from_raw)
}

/// Whether a path leads to the root of a /proc.
fn is_root(path: &[u8], root: BorrowedFd<'_>) -> bool {
    let dir = regfile::open_below(root, path, OFlag::O_PATH | OFlag::O_CLOEXEC, ResolveFlag::RESOLVE_IN_ROOT);
    dir.is_ok_and(|dir| fstat(&dir).is_ok_and(|stat| stat.st_ino == ROOT_INO) && is_on(dir.as_fd()) == Ok(true))
}

/// A path of /proc that is about `pid`, about `other` instead.
pub fn about(path: &[u8], pid: Pid, other: Pid) -> Vec<u8> {
    let (pid, other) = (pid.to_string(), other.to_string());
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let changed: Vec<&[u8]> =
        parts.into_iter().map(|part| if part == pid.as_bytes() { other.as_bytes() } else { part }).collect();
    changed.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::tests::{descriptor, dump, options, restore};
    use crate::options::RestoreOptions;
    use crate::sys::clone::Standin;
    use nix::fcntl::{FcntlArg, fcntl};
    use std::fs::File;

    #[test]
    fn paths_of_tasks() {
        let root = File::open("/").unwrap();
        let place = |path| Place::of(path, root.as_fd()).map(|place| (place.pid.as_raw(), place.rest));
        assert_eq!(place(b"/proc/12/task/12/mem"), Some((12, vec![b"task".as_slice(), b"12", b"mem"])));
        assert_eq!(place(b"/proc/9 (deleted)"), Some((9, vec![])));
        for none in [b"/proc/sys/net/7".as_slice(), b"/srv/9/maps", b"/proc", b"/proc/irq/7/spurious", b"12"] {
            assert_eq!(place(none), None, "{}", String::from_utf8_lossy(none));
        }
    }

    #[test]
    fn what_a_path_leads_back_to_is_accepted() {
        let options = options(false);
        let mut cx = DumpContext::new(&options);
        cx.threads.insert(nix::unistd::gettid());
        let there =
            ["/proc/self/status", "/proc/meminfo", "/proc/self/fd", "/proc/self/maps", "/proc/1/stat", "/dev/null"];
        let late = ["/proc/thread-self", "/proc/thread-self/maps", "/proc/self/fdinfo/0"];
        for (paths, found) in [(there.as_slice(), Found::There), (late.as_slice(), Found::Late)] {
            for path in paths {
                let file = File::open(path).unwrap();
                assert_eq!(check(&descriptor(file.into()), &mut cx).unwrap(), found, "{path}");
            }
        }
    }

    #[test]
    fn what_was_of_a_thread_or_a_descriptor_that_is_gone_is_refused() {
        let options = options(false);
        let mut cx = DumpContext::new(&options);
        let of_thread = std::thread::spawn(|| File::open("/proc/thread-self/comm").unwrap());
        let of_thread = of_thread.join().unwrap();
        // So high that no other test takes its number, as they share a table.
        let null = fcntl(File::open("/dev/null").unwrap(), FcntlArg::F_DUPFD_CLOEXEC(800)).unwrap();
        let of_descriptor = File::open(format!("/proc/self/fdinfo/{null}")).unwrap();
        nix::unistd::close(null).unwrap();
        for (file, of) in [(of_thread, "thread"), (of_descriptor, "descriptor")] {
            let file = descriptor(file.into());
            for _ in 0..1000 {
                if lstat(file.link.as_slice()).is_err() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            let error = check(&file, &mut cx).unwrap_err().to_string();
            assert!(error.contains(of) && error.contains("gone"), "{error}");
        }
    }

    #[test]
    fn files_of_a_task_that_has_exited_come_back() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let open = |name: &str| descriptor(File::open(format!("/proc/{pid}/{name}")).unwrap().into());
        let files = [open("status"), open(""), open("task")];
        let options = options(false);
        let mut cx = DumpContext::new(&options);
        assert_eq!(check(&files[0], &mut cx).unwrap(), Found::There);
        child.kill().unwrap();
        child.wait().unwrap();
        let files = files.map(|file| descriptor(file.copy));
        for file in &files {
            assert_eq!(check(file, &mut cx).unwrap(), Found::Dead(Pid::from_raw(pid as i32)), "{}", file.describe());
        }
        let dumped = dump(&options, &files).unwrap();
        let paths = files.map(|file| file.link);
        for (taken, other) in [(None, false), (Some(Pid::from_raw(pid as i32)), true)] {
            let taken = taken.map(|pid| Standin::new(Some(pid)).unwrap());
            restore(&dumped, &RestoreOptions::default(), |_, files| {
                let now: Vec<_> = files.iter().map(|file| &file.link).collect();
                assert_eq!(now != paths.each_ref(), other, "{now:?}");
                assert_eq!(nix::unistd::read(&files[0].copy, &mut [0; 8]), Err(sys::Errno::ESRCH));
            })
            .unwrap();
            drop(taken);
        }
    }
}
