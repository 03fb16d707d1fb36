//! What the tests of the kinds share: this process in the place of a target, and images in a temporary directory.

use super::maker::Nobody;
use super::{Descriptor, DumpContext, LinkRemaps, RestoreContext, of_entry, recognise, sk_unix};
use crate::error::Result;
use crate::image::proto::FileEntry;
use crate::image::{ImageDir, ManifestHead, NewImageDir};
use crate::options::{DumpOptions, RestoreOptions};
use crate::proc::{ProcDir, fdinfo};
use crate::sys::Pid;
use nix::sys::stat::fstat;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

/// A descriptor of ours as the dump would see it.
pub fn descriptor(copy: OwnedFd) -> Descriptor {
    let dir = ProcDir::current().unwrap();
    let fd = copy.as_raw_fd();
    let link = dir.readlink(&format!("fd/{fd}")).unwrap();
    let info = fdinfo::read(&dir, fd, &mut Vec::new()).unwrap();
    let stat = fstat(&copy).unwrap();
    Descriptor { pid: Pid::this(), fd, queue: None, link, stat, info, copy }
}

/// Options of a dump.
pub fn options(file_locks: bool) -> DumpOptions {
    let mut options = DumpOptions::new(Pid::this());
    options.common.file_locks = file_locks;
    options
}

/// Files in images, as [`dump`] leaves them.
pub struct Dumped {
    /// The files in the order in which they were given, then those that they need.
    pub entries: Vec<FileEntry>,
    /// Their ids in that order.
    pub ids: Vec<u32>,
    /// The names made by `--link-remap`.
    pub links: LinkRemaps,
    /// The images.
    pub images: ImageDir,
    /// Where they are.
    pub dir: tempfile::TempDir,
}

/// Dumps descriptors, each of which counts as an open file description of its own.
pub fn dump(options: &DumpOptions, descriptors: &[Descriptor]) -> Result<Dumped> {
    let mut cx = DumpContext::new(options);
    let (mut entries, mut ids) = (Vec::new(), Vec::new());
    for descriptor in descriptors {
        let id = cx.new_id();
        entries.push(recognise(descriptor)?.dump(descriptor, id, &mut cx)?);
        ids.push(id);
    }
    entries.append(&mut cx.more);
    sk_unix::settle(&mut entries, &mut cx)?;
    let dir = tempfile::tempdir().unwrap();
    let out = NewImageDir::create(dir.path(), false)?;
    let links = cx.write(&mut entries, &out)?;
    out.seal(&ManifestHead { page_size: 4096, ..ManifestHead::default() })?;
    let images = ImageDir::open(dir.path())?;
    Ok(Dumped { entries, ids, links, images, dir })
}

/// Restores what was dumped and hands it, in the order of the dump, to `check`.
pub fn restore<T>(
    dumped: &Dumped,
    options: &RestoreOptions,
    check: impl FnOnce(&mut RestoreContext<'_>, &[Descriptor]) -> T,
) -> Result<T> {
    let files: HashMap<u32, FileEntry> = dumped.entries.iter().map(|entry| (entry.id, entry.clone())).collect();
    let root = std::fs::File::open("/").unwrap();
    let mut cx = RestoreContext::new(options, &dumped.images, &files, root.as_fd())?;
    sk_unix::make(&mut cx, &Nobody)?;
    let mut restored = Vec::new();
    for id in &dumped.ids {
        let entry = &files[id];
        let kind = of_entry(entry)?;
        for needed in kind.needs(entry) {
            let fd = of_entry(&files[&needed])?.restore(&files[&needed], &mut cx)?;
            cx.open.insert(needed, Arc::new(fd));
        }
        restored.push(descriptor(kind.restore(entry, &mut cx)?));
    }
    cx.settle()?;
    Ok(check(&mut cx, &restored))
}
