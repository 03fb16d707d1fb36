//! Files of /proc. Most are what their path says and are opened by it again; some are bound, when they are opened, to
//! something that a path does not lead back to.

use super::Descriptor;
use crate::error::{Doing, Error, Result};
use nix::sys::stat::{lstat, major};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

/// Files that show the address space which the task had when they were opened.
const OF_MEMORY: &[&[u8]] =
    &[b"mem", b"maps", b"smaps", b"smaps_rollup", b"numa_maps", b"pagemap", b"environ", b"auxv", b"clear_refs"];

/// Directories whose entries come and go with descriptors, mappings or threads, which do not exist yet when files are
/// opened again.
const TOO_EARLY: &[&[u8]] = &[b"fd", b"fdinfo", b"map_files"];

/// Refuses a file of /proc that cannot be opened again by its path.
pub fn check(descriptor: &Descriptor) -> Result<()> {
    // /proc, like every file system without a disk, has an anonymous device.
    if major(descriptor.stat.st_dev) != 0 {
        return Ok(());
    }
    let system = fstatfs(&descriptor.copy).doing(|| format!("look at the file system of {}", descriptor.describe()))?;
    if system.filesystem_type() != PROC_SUPER_MAGIC {
        return Ok(());
    }
    let Some((pid, rest)) = of_task(&descriptor.link) else { return Ok(()) };
    let alive = lstat(descriptor.link.as_slice())
        .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (descriptor.stat.st_dev, descriptor.stat.st_ino));
    if !alive {
        let reason = format!("it is a file of task {pid}, which has exited; these are not supported yet");
        return Err(Error::unsupported(descriptor.describe(), reason).with_help("close the descriptor before the dump"));
    }
    let reason = match rest.as_slice() {
        [b"task", tid, ..] if *tid != pid.as_bytes() => "it belongs to a single thread",
        [.., last] if OF_MEMORY.contains(last) => "it shows an address space, which a path does not lead back to",
        [.., dir, _] if TOO_EARLY.contains(dir) => "it belongs to a descriptor or a mapping",
        _ => return Ok(()),
    };
    Err(Error::unsupported(descriptor.describe(), format!("{reason}; such files of /proc are not supported yet"))
        .with_help("close the descriptor before the dump"))
}

/// The pid that the path of a file of /proc is about, and what follows it.
fn of_task(path: &[u8]) -> Option<(String, Vec<&[u8]>)> {
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
    use crate::kind::tests::descriptor;
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
        for path in
            ["/proc/self/status", "/proc/meminfo", "/proc/self/fd", "/proc/self/task", "/proc/1/stat", "/dev/null"]
        {
            let file = File::open(path).unwrap();
            assert!(check(&descriptor(file.into())).is_ok(), "{path}");
        }
        for path in ["/proc/self/maps", "/proc/self/environ", "/proc/thread-self/maps", "/proc/self/fdinfo/0"] {
            let error = check(&descriptor(File::open(path).unwrap().into())).unwrap_err();
            assert!(error.to_string().contains("/proc/"), "{error}");
        }
    }

    #[test]
    fn a_task_that_has_exited_is_named() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let path = format!("/proc/{}/status", child.id());
        let file = File::open(&path).unwrap();
        let before = check(&descriptor(file.try_clone().unwrap().into()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(before.is_ok());
        let error = check(&descriptor(file.into())).unwrap_err();
        assert!(error.to_string().contains("has exited"), "{error}");
    }
}
