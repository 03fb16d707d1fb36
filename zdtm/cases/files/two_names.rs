//! A file with two names, opened by the one that is deleted while the other stays open too, and a long symbolic path.
//@ routes: [once, thrice, kill-engine] # a dump that leaves the tree running leaves it no new names to be found by later
//@ options: --link-remap
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, stat, write_once};
use std::fs::{self, File};
use std::os::unix::fs::symlink;

pub fn run(gate: &mut Gate) -> Verdict {
    fs::write(gate.path("one"), b"0123456789")?;
    fs::hard_link(gate.path("one"), gate.path("two"))?;
    let one = File::open(gate.path("one"))?;
    let two = File::options().read(true).write(true).open(gate.path("two"))?;
    fs::remove_file(gate.path("one"))?;
    // Reached through links, which are not part of the path of the open file.
    fs::create_dir(gate.path("real"))?;
    fs::write(gate.path("real/file"), b"linked")?;
    symlink(gate.path("real"), gate.path("link"))?;
    symlink("link/file", gate.path("link-to-file"))?;
    let linked = File::open(gate.path("link-to-file"))?;
    fs::remove_file(gate.path("link"))?;
    gate.checkpoint()?;
    check_eq("the inodes", stat(&one)?.st_ino, stat(&two)?.st_ino)?;
    check_eq("links", stat(&one)?.st_nlink, 1)?;
    write_once(&two, b"ab")?;
    check_eq("the file by its dead name", read_once(&one, 4)?, b"ab23".to_vec())?;
    check_eq("the file behind links", read_once(&linked, 10)?, b"linked".to_vec())
}
