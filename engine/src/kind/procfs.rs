//! Files of /proc. Most are what their path says and are opened by it again, also those that are bound to an address
//! space when they are opened: a restored task has its own from its birth. Those of a task that has exited tell nothing
//! but that; they are opened again while a short-lived process stands in for it.

use super::Descriptor;
use crate::error::{Doing, Error, Result};
use crate::sys::{self, Pid};
use nix::sys::stat::{fstat, lstat, major};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use std::os::fd::{AsFd, BorrowedFd};

/// Directories whose entries come and go with descriptors, mappings or threads, which do not exist yet when files are
/// opened again.
const TOO_EARLY: &[&[u8]] = &[b"fd", b"fdinfo", b"map_files"];

/// Whether a file is one of /proc.
pub fn is_on(file: BorrowedFd<'_>) -> sys::Result<bool> {
    // It has an anonymous device, like every file system without a disk.
    Ok(major(fstat(file)?.st_dev) == 0 && fstatfs(file)?.filesystem_type() == PROC_SUPER_MAGIC)
}

/// Refuses a file of /proc that cannot be opened again. For one of a task that has exited, its pid.
pub fn check(descriptor: &Descriptor) -> Result<Option<Pid>> {
    let doing = || format!("look at the file system of {}", descriptor.describe());
    if major(descriptor.stat.st_dev) != 0 || !is_on(descriptor.copy.as_fd()).doing(doing)? {
        return Ok(None);
    }
    let Some((pid, rest)) = of_task(&descriptor.link) else { return Ok(None) };
    let reason = match rest.as_slice() {
        [b"task", tid, ..] if *tid != pid.as_bytes() => "it belongs to a single thread",
        [.., dir, _] if TOO_EARLY.contains(dir) => "it belongs to a descriptor or a mapping",
        _ => "",
    };
    if !reason.is_empty() {
        let reason = format!("{reason}; such files of /proc are not supported yet");
        return Err(Error::unsupported(descriptor.describe(), reason).with_help("close the descriptor before the dump"));
    }
    let alive = lstat(descriptor.link.as_slice())
        .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (descriptor.stat.st_dev, descriptor.stat.st_ino));
    match pid.parse() {
        Ok(pid) if !alive => Ok(Some(Pid::from_raw(pid))),
        _ => Ok(None),
    }
}

/// A path of /proc that is about `pid`, about `other` instead.
pub fn about(path: &[u8], pid: Pid, other: Pid) -> Vec<u8> {
    let (pid, other) = (pid.to_string(), other.to_string());
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let changed: Vec<&[u8]> =
        parts.into_iter().map(|part| if part == pid.as_bytes() { other.as_bytes() } else { part }).collect();
    changed.join(&b'/')
}

/// The pid that the path of a file of /proc is about, and what follows it.
fn of_task(path: &[u8]) -> Option<(String, Vec<&[u8]>)> {
    let path = path.strip_suffix(super::ghost::DELETED).unwrap_or(path);
    let number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = path.split(|byte| *byte == b'/');
    let pid = match path.strip_prefix(b"/proc/") {
        Some(_) => parts.nth(2).filter(|part| number(part)),
        // Mounted elsewhere, for example below a container's root.
        None => parts.find(|part| number(part)),
    }?;
    Some((String::from_utf8_lossy(pid).into_owned(), parts.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::tests::{descriptor, dump, options, restore};
    use crate::options::RestoreOptions;
    use crate::sys::clone::Standin;
    use std::fs::File;

    #[test]
    fn paths_of_tasks() {
        assert_eq!(of_task(b"/proc/12/task/12/mem"), Some(("12".into(), vec![b"task".as_slice(), b"12", b"mem"])));
        assert_eq!(of_task(b"/proc/sys/net/7"), None);
        assert_eq!(of_task(b"/srv/root/proc/9/maps"), Some(("9".into(), vec![b"maps".as_slice()])));
        assert_eq!(of_task(b"/proc"), None);
    }

    #[test]
    fn what_a_path_leads_back_to_is_accepted() {
        let accepted =
            ["/proc/self/status", "/proc/meminfo", "/proc/self/fd", "/proc/self/maps", "/proc/1/stat", "/dev/null"];
        for path in accepted {
            let file = File::open(path).unwrap();
            assert_eq!(check(&descriptor(file.into())).unwrap(), None, "{path}");
        }
        for path in ["/proc/thread-self/maps", "/proc/self/fdinfo/0"] {
            let error = check(&descriptor(File::open(path).unwrap().into())).unwrap_err();
            assert!(error.to_string().contains("/proc/"), "{error}");
        }
    }

    #[test]
    fn files_of_a_task_that_has_exited_come_back() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let open = |name: &str| descriptor(File::open(format!("/proc/{pid}/{name}")).unwrap().into());
        let files = [open("status"), open(""), open("task")];
        assert_eq!(check(&files[0]).unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
        let files = files.map(|file| descriptor(file.copy));
        for file in &files {
            assert_eq!(check(file).unwrap(), Some(Pid::from_raw(pid as i32)), "{}", file.describe());
        }
        let dumped = dump(&options(false), &files).unwrap();
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
