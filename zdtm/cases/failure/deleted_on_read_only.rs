//! A deleted file on a mount that became read-only is refused: no name can be made there.
//@ dump-fails: read-only
//@ needs: [cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::read_once;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    let (place, seen) = (gate.path("place"), gate.path("seen"));
    fs::create_dir(&place)?;
    fs::create_dir(&seen)?;
    fs::write(place.join("file"), b"data")?;
    let none = None::<&Path>;
    mount(Some(&place), &seen, none, MsFlags::MS_BIND, none)?;
    let file = File::open(seen.join("file"))?;
    mount(none, &seen, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none)?;
    fs::remove_file(place.join("file"))?;
    let passed = gate.checkpoint();
    let data = read_once(&file, 10);
    drop(file);
    umount2(&seen, MntFlags::MNT_DETACH)?;
    passed?;
    check_eq("the data", data?, b"data".to_vec())
}
