//! An open block device, by a node of the case's own that is deleted afterwards or not, keeps device and position.
//@ needs: [cap:mknod]
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_files::{position, stat};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};

/// Opens the first block device of this machine that can be opened, by a node made here.
fn open_device(gate: &Gate, node: &str) -> Verdict<(File, u64)> {
    for entry in fs::read_dir("/sys/block")? {
        let numbers = fs::read_to_string(entry?.path().join("dev"))?;
        let Some((major, minor)) = numbers.trim().split_once(':') else { continue };
        let device = makedev(major.parse()?, minor.parse()?);
        mknod(&gate.path(node), SFlag::S_IFBLK, Mode::from_bits_truncate(0o600), device)?;
        match File::open(gate.path(node)) {
            Ok(file) => return Ok((file, device)),
            Err(_) => fs::remove_file(gate.path(node))?,
        }
    }
    fail("there is no block device to open")
}

pub fn run(gate: &mut Gate) -> Verdict {
    let (kept, device) = open_device(gate, "kept")?;
    let (deleted, _) = open_device(gate, "deleted")?;
    fs::remove_file(gate.path("deleted"))?;
    lseek(&kept, 0, Whence::SeekEnd)?;
    let end = position(&kept)?;
    gate.checkpoint()?;
    for (file, links) in [(&kept, 1), (&deleted, 0)] {
        let status = stat(file)?;
        check_eq("device and links", (status.st_rdev, status.st_nlink), (device, links))?;
    }
    check_eq("the positions", (position(&kept)?, position(&deleted)?), (end, 0))
}
