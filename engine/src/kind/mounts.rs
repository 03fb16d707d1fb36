//! Which mount a path leads to: a file whose own mount is another one cannot be opened by its path. Which mounts are of
//! a part of /proc.

use super::Descriptor;
use crate::error::{Doing, Error, Result};
use crate::proc::{ProcDir, mountinfo};
use crate::sys;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;

/// The mounts of our own mount namespace, in which the tree is too.
#[derive(Debug)]
pub struct Mounts {
    /// The mount on which our root directory is.
    root: i32,
    /// For each mount those on it: where, and their ids.
    on: HashMap<i32, Vec<(Vec<u8>, i32)>>,
    /// For each mount of a directory or file of /proc what that is.
    of_proc: HashMap<i32, Vec<u8>>,
}

impl Mounts {
    /// Reads them.
    pub fn read() -> Result<Mounts> {
        let root = File::open("/").and_then(|root| Ok(sys::file::mount_id(root.as_fd())?));
        let root = root.doing(|| "ask for the mount of the root directory")?;
        let mut on: HashMap<i32, Vec<(Vec<u8>, i32)>> = HashMap::new();
        let mut of_proc = HashMap::new();
        for mount in mountinfo::read(&ProcDir::current()?, &mut Vec::new())? {
            if mount.fs_type == b"proc" {
                of_proc.insert(mount.id, mount.root);
            }
            if mount.parent != mount.id {
                on.entry(mount.parent).or_default().push((mount.mountpoint, mount.id));
            }
        }
        Ok(Mounts { root, on, of_proc })
    }

    /// The id of the mount to which a path without symbolic links leads: from mount to mount, as the kernel walks.
    fn of(&self, path: &[u8]) -> i32 {
        let (mut mount, mut at) = (self.root, 0);
        loop {
            // What lies on the root directory itself is not seen through it; else also what lies on top.
            let next = self.on.get(&mount).into_iter().flatten();
            let next = next.filter(|(point, _)| point.as_slice() != b"/" && point.len() >= at && is_below(path, point));
            match next.min_by_key(|(point, _)| point.len()) {
                Some((point, id)) => (mount, at) = (*id, point.len()),
                None => return mount,
            }
        }
    }

    /// The id of the mount on which a file is.
    fn is_on(descriptor: &Descriptor) -> Result<i32> {
        match descriptor.info.mnt_id {
            // It was found without a descriptor.
            -1 => sys::file::mount_id(descriptor.copy.as_fd()).doing(|| format!("look at {}", descriptor.describe())),
            id => Ok(id),
        }
    }

    /// What of /proc its mount shows: `/` or something in it; `None` for a file of another file system.
    pub fn part_of_proc(&self, descriptor: &Descriptor) -> Result<Option<&[u8]>> {
        Ok(self.of_proc.get(&Mounts::is_on(descriptor)?).map(Vec::as_slice))
    }

    /// Refuses a file that is not on the mount to which its path leads.
    pub fn check(&self, descriptor: &Descriptor) -> Result<()> {
        let path = descriptor.link.strip_suffix(super::ghost::DELETED).unwrap_or(&descriptor.link);
        if self.of(path) == Mounts::is_on(descriptor)? {
            return Ok(());
        }
        // Opened in another mount namespace and inherited: the path may lead to the same file here.
        use std::os::unix::ffi::OsStrExt;
        let here = nix::sys::stat::stat(std::path::Path::new(std::ffi::OsStr::from_bytes(path)));
        if here.is_ok_and(|s| (s.st_dev, s.st_ino) == (descriptor.stat.st_dev, descriptor.stat.st_ino)) {
            return Ok(());
        }
        Err(Error::unsupported(descriptor.describe(), "its mount was detached, or another mount covers its path"))
    }
}

/// Whether a path is a directory or in it.
fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::tests::descriptor;

    #[test]
    fn paths_are_walked_as_the_kernel_does() {
        let mount = |point: &str, id| (point.as_bytes().to_vec(), id);
        let on = HashMap::from([
            // /a/b was mounted before /a was covered: now it is hidden.
            (1, vec![mount("/a/b", 2), mount("/a", 3), mount("/", 9), mount("/file", 8)]),
            (3, vec![mount("/a", 4), mount("/a/c", 5)]),
            (4, vec![mount("/a/c/d", 6)]),
        ]);
        let mounts = Mounts { root: 1, on, of_proc: HashMap::new() };
        for (path, id) in [
            ("/", 1),
            ("/x", 1),
            ("/ab", 1),
            ("/a", 4),
            ("/a/b/x", 4),
            ("/a/c", 4),
            ("/a/c/d", 6),
            ("/a/c/dd", 4),
            ("/file", 8),
        ] {
            assert_eq!(mounts.of(path.as_bytes()), id, "{path}");
        }
    }

    #[test]
    fn every_mount_of_this_system_is_found_or_covered() {
        let mounts = Mounts::read().unwrap();
        for path in ["/", "/proc/self/status", "/dev/null", env!("CARGO_MANIFEST_DIR"), "/dev/shm"] {
            let path = std::fs::canonicalize(path).unwrap();
            let mut file = descriptor(File::open(&path).unwrap().into());
            mounts.check(&file).unwrap();
            file.info.mnt_id = -1;
            mounts.check(&file).unwrap();
            // Of a mount that is not here: right only where the path leads to this very file.
            file.info.mnt_id = i32::MAX;
            mounts.check(&file).unwrap();
            file.stat.st_ino += 1;
            assert!(mounts.check(&file).is_err());
        }
    }
}
