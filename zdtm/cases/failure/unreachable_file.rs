//! A file on a mount that was detached is refused with a word about the mount; it is still there to read.
//@ dump-fails: mount
//@ needs: [cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::read_once;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    // Not called by what the error must say.
    let place = gate.path("place");
    fs::create_dir(&place)?;
    mount(Some("none"), &place, Some("tmpfs"), MsFlags::empty(), None::<&Path>)?;
    fs::write(place.join("file"), b"data")?;
    let file = File::open(place.join("file"))?;
    umount2(&place, MntFlags::MNT_DETACH)?;
    gate.checkpoint()?;
    check_eq("the data", read_once(&file, 10)?, b"data".to_vec())
}
