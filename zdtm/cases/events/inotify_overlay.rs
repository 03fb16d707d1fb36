//! Watches of files and directories on an overlay, which need not find files by handles.
//@ needs: [kernel:inotify, cap:sys_admin]
//@ routes: [once, thrice, kill-engine]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_watch::{add, check_events, inotify, watches};
use libc::{IN_CREATE, IN_OPEN};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    let (base, merged) = (gate.path("base"), gate.path("merged"));
    fs::create_dir(&base)?;
    fs::create_dir(&merged)?;
    // Some file systems cannot be the upper layer.
    mount(Some("none"), &base, Some("tmpfs"), MsFlags::empty(), None::<&Path>)?;
    for dir in ["lower", "upper", "work", "lower/dir", "lower/dir/deep"] {
        fs::create_dir(base.join(dir))?;
    }
    fs::write(base.join("lower/dir/file"), b"lower")?;
    fs::write(base.join("upper/new"), b"upper")?;
    let layer = |name: &str| base.join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", layer("lower"), layer("upper"), layer("work"));
    let mounted = mount(Some("none"), &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str()));
    let verdict = mounted.map_err(Into::into).and_then(|()| {
        let verdict = on_overlay(gate, &merged);
        umount2(&merged, MntFlags::MNT_DETACH)?;
        verdict
    });
    umount2(&base, MntFlags::MNT_DETACH)?;
    verdict
}

fn on_overlay(gate: &mut Gate, merged: &Path) -> Verdict {
    let notices = inotify()?;
    let watched = ["dir/file", "new"].map(|name| add(&notices, &merged.join(name), IN_OPEN));
    let [lower, upper] = watched;
    let (lower, upper) = (lower?, upper?);
    let dir = add(&notices, &merged.join("dir/deep"), IN_CREATE)?;
    let before = watches(&notices)?;
    gate.checkpoint()?;
    check_eq("the watches", watches(&notices)?, before)?;
    File::open(merged.join("dir/file"))?;
    File::open(merged.join("new"))?;
    File::create(merged.join("dir/deep/born"))?;
    check_events("events", &notices, &[(lower, IN_OPEN, ""), (upper, IN_OPEN, ""), (dir, IN_CREATE, "born")])
}
