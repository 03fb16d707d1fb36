//! An O_TMPFILE file keeps its data, position and mode, and can still be given a name with linkat.
//@ witness: -target # a file that never had a name shows its inode number, which is new
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{c_path, flags, position, stat, write_once};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::ffi::CString;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = open(gate.dir(), OFlag::O_TMPFILE | OFlag::O_RDWR, Mode::from_bits_truncate(0o640))?;
    write_once(&file, b"nameless")?;
    let was = flags(&file)?;
    gate.checkpoint()?;
    check_eq("the flags", format!("{:o}", flags(&file)?), format!("{was:o}"))?;
    check_eq("the position", position(&file)?, 8)?;
    let status = stat(&file)?;
    check_eq("mode, links and size", (status.st_mode & 0o7777, status.st_nlink, status.st_size), (0o640, 0, 8))?;
    write_once(&file, b" no more")?;
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let to = c_path(&gate.path("named"))?;
    // SAFETY: both paths outlive the call.
    Errno::result(unsafe {
        libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    })?;
    check_eq("the named file", std::fs::read_to_string(gate.path("named"))?, "nameless no more".to_owned())?;
    check_eq("its links", stat(&file)?.st_nlink, 1)
}
