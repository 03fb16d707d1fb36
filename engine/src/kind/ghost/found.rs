//! Deleted files as the dump finds them.

use super::super::{Descriptor, DumpContext, regfile};
use super::{DELETED, links::Link, save::Ghost};
use crate::error::{Doing, Error, Result};
use crate::image::proto::{RegFileEntry, RemapFilePathEntry, RemapType};
use crate::sys::{self, Pid};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, SFlag, lstat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Deleted files found during a dump.
#[derive(Debug, Default)]
pub struct Ghosts {
    /// What became of each inode.
    known: HashMap<(u64, u64), (RemapType, u32)>,
    /// Which file is to be found where instead.
    pub(super) remaps: Vec<RemapFilePathEntry>,
    /// Those to be saved.
    pub(super) ghosts: Vec<Ghost>,
    /// Those to be linked.
    pub(super) links: Vec<Link>,
}

impl Ghosts {
    /// Whether it is a deleted file that some file of the tree showed.
    pub fn knows(&self, stat: &FileStat) -> bool {
        self.known.contains_key(&(stat.st_dev, stat.st_ino))
    }
}

/// Takes note of a deleted file: `reg` gets the name that it had. False for a file that a path leads to.
pub fn dump(descriptor: &Descriptor, reg: &mut RegFileEntry, cx: &mut DumpContext<'_>) -> Result<bool> {
    let Some(name) = descriptor.link.strip_suffix(DELETED) else { return Ok(false) };
    let stat = &descriptor.stat;
    // A file may really be called so.
    if leads_to(&descriptor.link, stat) {
        return Ok(false);
    }
    reg.name = name.to_vec();
    // The root of a mount shows so when its own name is gone; and a file may have been given its old name again.
    if leads_to(name, stat) {
        return Ok(false);
    }
    if is_kernels(name, stat) {
        return Err(Error::unsupported(descriptor.describe(), "memory without a file is not supported here yet"));
    }
    let device = matches!(descriptor.file_type(), SFlag::S_IFCHR | SFlag::S_IFBLK);
    if device
        && cx.options.common.evasive_devices
        && let Some(other) = other_node(stat)
    {
        tracing::info!("{} is found as {}", descriptor.describe(), String::from_utf8_lossy(&other));
        reg.name = other;
        return Ok(false);
    }
    let (r#type, id) = match cx.ghosts.known.get(&(stat.st_dev, stat.st_ino)) {
        Some(known) => *known,
        None => {
            check_directory(descriptor, name)?;
            let new = add(descriptor, reg, cx)?;
            cx.ghosts.known.insert((stat.st_dev, stat.st_ino), new);
            new
        }
    };
    cx.ghosts.remaps.push(RemapFilePathEntry { orig_id: reg.id, remap_id: id, remap_type: Some(r#type as i32) });
    Ok(true)
}

/// Takes note of a file of /proc about a task that has exited.
pub fn dump_dead(descriptor: &Descriptor, pid: Pid, reg: &mut RegFileEntry, cx: &mut DumpContext<'_>) {
    reg.name = descriptor.link.strip_suffix(DELETED).unwrap_or(&descriptor.link).to_vec();
    let (orig_id, remap_id) = (reg.id, pid.as_raw() as u32);
    cx.ghosts.remaps.push(RemapFilePathEntry { orig_id, remap_id, remap_type: Some(RemapType::Procfs as i32) });
}

/// Takes note of an inode that is met for the first time.
fn add(descriptor: &Descriptor, reg: &RegFileEntry, cx: &mut DumpContext<'_>) -> Result<(RemapType, u32)> {
    // A directory has one name; its count of links means other things.
    if descriptor.stat.st_nlink == 0 || descriptor.file_type() == SFlag::S_IFDIR {
        let id = cx.ghosts.ghosts.len() as u32 + 1;
        cx.ghosts.ghosts.push(Ghost::new(id, descriptor, cx.options)?);
        return Ok((RemapType::Ghost, id));
    }
    if !cx.options.link_remap {
        let reason = "the name by which it was opened is deleted, and it has others that the kernel does not tell";
        return Err(Error::unsupported(descriptor.describe(), reason)
            .with_help("use --link-remap: the file gets a new name beside the deleted one until it is restored"));
    }
    let id = cx.new_id();
    let target = RegFileEntry { name: reg.name.clone(), ..regfile::describe(descriptor, id)? };
    cx.ghosts.links.push(Link::new(target, descriptor)?);
    Ok((RemapType::Linked, id))
}

/// Refuses a deleted file in whose directory no name can be made, or taken away again.
fn check_directory(descriptor: &Descriptor, name: &[u8]) -> Result<()> {
    let parent = super::split(name).0;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(dir) = open(if parent.is_empty() { &b"/"[..] } else { parent }, flags, Mode::empty()) else { return Ok(()) };
    let doing = || format!("ask for the attributes of the directory of {}", descriptor.describe());
    let forbidden = sys::file::forbidden(dir.as_fd()).doing(doing)?;
    let read_only = fstatvfs(&dir).doing(doing)?.flags().contains(FsFlags::ST_RDONLY);
    let (what, help) = match (forbidden.all || forbidden.all_but_append, read_only) {
        (true, _) => {
            ("immutable or append-only", "take the attribute away (chattr -i -a) until the process is restored")
        }
        (_, true) => ("read-only", "make its mount writable until the process is restored"),
        _ => return Ok(()),
    };
    let reason = format!(
        "it is deleted, and its directory is {what} now: it cannot get a name for the moment in which it is opened again"
    );
    Err(Error::unsupported(descriptor.describe(), reason).with_help(help))
}

/// Whether the name is one that the kernel gives to memory, and not of a file: System V segments, huge pages.
fn is_kernels(name: &[u8], stat: &FileStat) -> bool {
    const NAMES: &[&[u8]] = &[b"/SYSV", b"/anon_hugepage", b"/dev/zero", b"/[aio]", b"/drm mm object", b"/i915"];
    // Somebody may have a file of such a name; then it is on the file system of its directory.
    NAMES.iter().any(|start| name.starts_with(start))
        && lstat(super::split(name).0).or_else(|_| lstat("/")).is_ok_and(|dir| dir.st_dev != stat.st_dev)
}

/// Whether a path leads to this very file.
fn leads_to(path: &[u8], stat: &FileStat) -> bool {
    lstat(path).is_ok_and(|found| (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino))
}

/// Another node of a device, right in /dev.
fn other_node(stat: &FileStat) -> Option<Vec<u8>> {
    let same = |path: &Path| {
        lstat(path).is_ok_and(|found| {
            found.st_rdev == stat.st_rdev && (found.st_mode ^ stat.st_mode) & SFlag::S_IFMT.bits() == 0
        })
    };
    let entries = std::fs::read_dir("/dev").ok()?;
    let found = entries.filter_map(|entry| entry.ok().map(|e| e.path())).find(|path| same(path))?;
    Some(found.into_os_string().into_vec())
}
