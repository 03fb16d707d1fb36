//! A deleted working directory stays deleted: no name, no new files in it, yet it is still a directory to leave.
use crate::gate::{Gate, Verdict, check, check_eq};
use nix::errno::Errno;
use nix::unistd::getcwd;
use std::env::set_current_dir;
use std::fs;
use std::io::ErrorKind;

pub fn run(gate: &mut Gate) -> Verdict {
    let path = gate.path("gone");
    fs::create_dir(&path)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    set_current_dir(&path)?;
    fs::remove_dir(&path)?;
    gate.checkpoint()?;
    check_eq("getcwd", getcwd(), Err(Errno::ENOENT))?;
    let link = fs::read_link("/proc/self/cwd")?;
    check_eq("/proc/self/cwd", link.to_string_lossy().into_owned(), format!("{} (deleted)", path.display()))?;
    let status = nix::sys::stat::stat(".")?;
    check_eq("links and mode", (status.st_nlink, status.st_mode), (0, libc::S_IFDIR | 0o711))?;
    check_eq("making a file", fs::write("new", b"").err().map(|e| e.kind()), Some(ErrorKind::NotFound))?;
    check("the directory has not come back", !path.exists())?;
    set_current_dir("..")?;
    check_eq("the directory above it", getcwd()?, gate.dir().to_path_buf())
}
