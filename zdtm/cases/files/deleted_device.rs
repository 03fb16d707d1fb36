//! A deleted node of a character device is still that device.
//@ needs: [cap:mknod]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, stat};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("node");
    mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o604), makedev(1, 5))?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o604))?;
    let zero = File::open(&path)?;
    fs::remove_file(&path)?;
    gate.checkpoint()?;
    let status = stat(&zero)?;
    check_eq("kind and mode", format!("{:o}", status.st_mode), format!("{:o}", libc::S_IFCHR | 0o604))?;
    check_eq("the device", (status.st_rdev, status.st_nlink), (makedev(1, 5), 0))?;
    check_eq("what it gives", read_once(&zero, 5)?, vec![0; 5])
}
