//! Marks of a fanotify group on a mount and on a whole file system.
//@ needs: [kernel:fanotify, cap:sys_admin]
//@ routes: [once, thrice, kill-engine]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_watch::{fanotify, mark, masks, watches};
use libc::{
    FAN_CLOSE_WRITE, FAN_MARK_FILESYSTEM, FAN_MARK_IGNORED_MASK, FAN_MARK_IGNORED_SURV_MODIFY, FAN_MARK_MOUNT, FAN_OPEN,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    let (one, two) = (gate.path("one"), gate.path("two"));
    let none = None::<&Path>;
    for path in [&one, &two] {
        fs::create_dir(path)?;
    }
    mount(Some("none"), &one, Some("tmpfs"), MsFlags::empty(), none)?;
    mount(Some(&one), &two, none, MsFlags::MS_BIND, none)?;
    fs::write(one.join("quiet"), b"")?;
    let (by_mount, by_system) = (fanotify(0)?, fanotify(libc::FAN_UNLIMITED_MARKS)?);
    mark(&by_mount, FAN_MARK_MOUNT, FAN_OPEN, &two)?;
    mark(&by_mount, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_OPEN, &one.join("quiet"))?;
    mark(&by_system, FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE, &two)?;
    let before = (watches(&by_mount)?, watches(&by_system)?);
    gate.checkpoint()?;
    check_eq("after the restore", (masks(&by_mount)?, masks(&by_system)?), (vec![], vec![]))?;
    check_eq("the marks", (watches(&by_mount)?, watches(&by_system)?), before)?;
    File::create(one.join("file"))?;
    check_eq("on the other mount", (masks(&by_mount)?, masks(&by_system)?), (vec![], vec![FAN_CLOSE_WRITE]))?;
    File::open(two.join("file"))?;
    check_eq("on the marked mount", (masks(&by_mount)?, masks(&by_system)?), (vec![FAN_OPEN], vec![]))?;
    File::open(two.join("quiet"))?;
    check_eq("the ignored file", masks(&by_mount)?, vec![])?;
    drop((by_mount, by_system));
    [&two, &one].into_iter().try_for_each(|path| Ok(umount2(path, MntFlags::MNT_DETACH)?))
}
