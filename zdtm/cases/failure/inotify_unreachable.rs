//! A watch of a deleted file that no process has open (a mount holds it) is refused by name; it still notices.
//@ dump-fails: "which no process of the tree has open"
//@ needs: [kernel:inotify, cap:sys_admin]
use crate::gate::{Gate, Verdict};
use crate::tools_watch::{add, check_events, inotify};
use libc::IN_OPEN;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    let (file, place) = (gate.path("file"), gate.path("place"));
    fs::write(&file, b"")?;
    fs::write(&place, b"")?;
    mount(Some(&file), &place, None::<&Path>, MsFlags::MS_BIND, None::<&Path>)?;
    let notices = inotify()?;
    let number = add(&notices, &file, IN_OPEN)?;
    fs::remove_file(&file)?;
    gate.checkpoint()?;
    File::open(&place)?;
    check_events("an open", &notices, &[(number, IN_OPEN, "")])?;
    Ok(umount2(&place, MntFlags::MNT_DETACH)?)
}
