//! A file that was opened through a mount of the process' own directory of /proc is refused: the mount ends with the
//! process.
//@ dump-fails: which ends with that task
//@ needs: [cap:sys_admin]
use crate::gate::{Gate, Verdict, check};
use crate::tools_files::read_once;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::path::Path;

pub fn run(gate: &mut Gate) -> Verdict {
    let (me, place) = (std::process::id(), gate.path("me"));
    fs::create_dir(&place)?;
    let source = format!("/proc/{me}");
    mount(Some(Path::new(&source)), &place, None::<&Path>, MsFlags::MS_BIND, None::<&Path>)?;
    let status = File::open(place.join("status"))?;
    gate.checkpoint()?;
    let text = String::from_utf8_lossy(&read_once(&status, 1 << 16)?).into_owned();
    check("the status is this process's", text.contains(&format!("\nPid:\t{me}\n")))?;
    drop(status);
    Ok(umount2(&place, MntFlags::MNT_DETACH)?)
}
