//! A fanotify group that decides about all accesses to a mount is refused by name: they would wait while it is frozen.
//@ dump-fails: "it decides about every access"
//@ needs: [kernel:fanotify, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_watch::{fanotify, mark, watches};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    let dir = gate.path("dir");
    std::fs::create_dir(&dir)?;
    mount(Some("none"), &dir, Some("tmpfs"), MsFlags::empty(), None::<&Path>)?;
    let group = fanotify(libc::FAN_CLASS_CONTENT)?;
    mark(&group, libc::FAN_MARK_MOUNT, libc::FAN_OPEN_PERM, &dir)?;
    let before = watches(&group)?;
    gate.checkpoint()?;
    check_eq("the marks", watches(&group)?, before)?;
    drop(group);
    Ok(umount2(&dir, MntFlags::MNT_DETACH)?)
}
