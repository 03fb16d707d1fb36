//! A working directory, a file and a directory descriptor that were renamed, or whose parent was, have their new names.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{position, read_once, target};
use nix::unistd::getcwd;
use std::fs::{self, File};
use std::os::unix::fs::symlink;

pub fn run(gate: &mut Gate) -> Verdict {
    fs::create_dir_all(gate.path("a/b/c"))?;
    fs::write(gate.path("a/b/file"), b"0123456789")?;
    let directory = File::open(gate.path("a/b"))?;
    let file = File::open(gate.path("a/b/file"))?;
    read_once(&file, 4)?;
    // By way of a symbolic link, which changes afterwards.
    symlink(gate.path("a/b/c"), gate.path("link"))?;
    std::env::set_current_dir(gate.path("link"))?;
    fs::rename(gate.path("a/b/file"), gate.path("a/b/renamed"))?;
    fs::rename(gate.path("a"), gate.path("z"))?;
    fs::rename(gate.path("z/b"), gate.path("y"))?;
    fs::remove_file(gate.path("link"))?;
    fs::create_dir_all(gate.path("a/b/c"))?;
    gate.checkpoint()?;
    check_eq("the working directory", getcwd()?, gate.path("y/c"))?;
    check_eq("the directory", target(&directory)?, gate.path("y"))?;
    check_eq("the file", target(&file)?, gate.path("y/renamed"))?;
    check_eq("its position", position(&file)?, 4)?;
    check_eq("the rest of it", read_once(&file, 20)?, b"456789".to_vec())?;
    fs::write("../here", b"")?;
    check_eq("a file made by way of the working directory", gate.path("y/here").exists(), true)
}
