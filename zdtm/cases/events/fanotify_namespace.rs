//! A fanotify group that watches what is mounted in the mount namespace still does.
//@ needs: [kernel:6.15, kernel:fanotify, cap:sys_admin]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_watch::{fanotify, mark, masks, watches};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::Path;

const REPORT_MNT: u32 = 0x4000;
const MARK_MNTNS: u32 = 0x110;
const MNT_ATTACH: u64 = 0x0100_0000;

pub fn run(gate: &mut Gate) -> Verdict {
    let group = fanotify(REPORT_MNT)?;
    mark(&group, MARK_MNTNS, MNT_ATTACH, Path::new("/proc/self/ns/mnt"))?;
    std::fs::create_dir(gate.path("dir"))?;
    let before = watches(&group)?;
    gate.checkpoint()?;
    check_eq("the marks", watches(&group)?, before)?;
    // Others may mount something too.
    masks(&group)?;
    mount(Some("none"), &gate.path("dir"), Some("tmpfs"), MsFlags::empty(), None::<&Path>)?;
    let noticed = masks(&group)?;
    umount2(&gate.path("dir"), MntFlags::MNT_DETACH)?;
    check("the mount is noticed", noticed.contains(&MNT_ATTACH))
}
