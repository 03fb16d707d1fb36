//! A fanotify descriptor is refused by name; it still notices.
//@ dump-fails: "[fanotify]"
//@ needs: [kernel:fanotify, cap:sys_admin]
use crate::gate::{Gate, Verdict, check};
use crate::tools_files::{c_path, owned, read_once};
use nix::errno::Errno;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let flags = libc::FAN_CLASS_NOTIF | libc::FAN_NONBLOCK;
    // SAFETY: integers only.
    let notices = owned(unsafe { libc::fanotify_init(flags, libc::O_RDONLY as u32) }.into())?;
    std::fs::write(gate.path("watched"), b"text")?;
    let path = c_path(&gate.path("watched"))?;
    // SAFETY: the path outlives the call.
    Errno::result(unsafe {
        libc::fanotify_mark(notices.as_raw_fd(), libc::FAN_MARK_ADD, libc::FAN_OPEN, libc::AT_FDCWD, path.as_ptr())
    })?;
    gate.checkpoint()?;
    std::fs::read(gate.path("watched"))?;
    check("a notice of the opening", !read_once(&notices, 4096)?.is_empty())
}
