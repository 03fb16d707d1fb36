//! Deleted files in a deleted directory keep data and names; the directory, held open twice over, stays one and dead.
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_files::{read_once, stat, target};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

pub fn run(gate: &mut Gate) -> Verdict {
    fs::create_dir_all(gate.path("outer/inner"))?;
    fs::set_permissions(gate.path("outer/inner"), PermissionsExt::from_mode(0o1750))?;
    fs::write(gate.path("outer/inner/file"), b"deep")?;
    let file = File::open(gate.path("outer/inner/file"))?;
    let inner = File::open(gate.path("outer/inner"))?;
    let twice = File::open(gate.path("outer/inner"))?;
    fs::remove_dir_all(gate.path("outer"))?;
    gate.checkpoint()?;
    check_eq("what the file says", read_once(&file, 10)?, b"deep".to_vec())?;
    let deleted = |what: &str| format!("{} (deleted)", gate.path(what).display());
    check_eq("the file's path", target(&file)?.to_string_lossy().into_owned(), deleted("outer/inner/file"))?;
    check_eq("the directory's path", target(&inner)?.to_string_lossy().into_owned(), deleted("outer/inner"))?;
    let (one, two) = (stat(&inner)?, stat(&twice)?);
    check_eq("links and mode", (one.st_nlink, one.st_mode), (0, libc::S_IFDIR | 0o1750))?;
    check_eq("the inode, opened twice", one.st_ino, two.st_ino)?;
    let made = openat(&inner, "new", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::empty()).map(drop);
    check_eq("making a file in it", made, Err(Errno::ENOENT))?;
    check("the directories have not come back", !gate.path("outer").exists())
}
