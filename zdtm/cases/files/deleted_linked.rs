//! A file whose name is gone but which has another name elsewhere is that file again, and no link is left over.
//@ routes: [once, thrice, kill-engine] # a dump that leaves the tree running leaves it no new names to be found by later
//@ options: --link-remap
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{position, read_once, stat, write_once};
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

pub fn run(gate: &mut Gate) -> Verdict {
    fs::create_dir(gate.path("here"))?;
    fs::create_dir(gate.path("there"))?;
    let file = File::options().read(true).write(true).create_new(true).open(gate.path("here/name"))?;
    write_once(&file, b"0123456789")?;
    fs::hard_link(gate.path("here/name"), gate.path("there/other"))?;
    fs::remove_file(gate.path("here/name"))?;
    lseek(&file, 3, Whence::SeekSet)?;
    gate.checkpoint()?;
    let other = fs::metadata(gate.path("there/other"))?;
    check_eq("the inode", stat(&file)?.st_ino, other.ino())?;
    check_eq("links", (stat(&file)?.st_nlink, other.nlink()), (1, 1))?;
    check_eq("what lies where the name was", fs::read_dir(gate.path("here"))?.count(), 0)?;
    check_eq("the position", position(&file)?, 3)?;
    write_once(&file, b"XYZ")?;
    check_eq("the file by its other name", fs::read(gate.path("there/other"))?, b"012XYZ6789".to_vec())?;
    check_eq("the rest", read_once(&file, 10)?, b"6789".to_vec())
}
