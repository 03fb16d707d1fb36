//! An O_TMPFILE file that was given a name since: data, position, path and number of links; its flags no longer say
//! O_TMPFILE, which open(2) gives to new files alone.
//@ routes: [once, thrice, kill-engine] # a dump that leaves the tree running leaves no new names
//@ options: --link-remap
//@ witness: -flags # without O_TMPFILE
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{c_path, flags, position, stat, target, write_once};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::ffi::CString;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = open(gate.dir(), OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_APPEND, Mode::from_bits_truncate(0o640))?;
    write_once(&file, b"nameless")?;
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let to = c_path(&gate.path("named"))?;
    // SAFETY: both paths outlive the call.
    Errno::result(unsafe {
        libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    })?;
    let shown = |file| -> Verdict<_> { Ok((flags(file)? & !libc::O_TMPFILE, position(file)?, target(file)?)) };
    let before = shown(&file)?;
    gate.checkpoint()?;
    check_eq("flags, position and path", shown(&file)?, before)?;
    check_eq("its links", stat(&file)?.st_nlink, 1)?;
    write_once(&file, b" no more")?;
    check_eq("the named file", std::fs::read_to_string(gate.path("named"))?, "nameless no more".to_owned())
}
