//! An inotify descriptor is refused by name; it still notices.
//@ dump-fails: "anon_inode:inotify"
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check};
use crate::tools_files::{c_path, owned, read_once};
use nix::errno::Errno;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: integers only.
    let notices = owned(unsafe { libc::inotify_init1(libc::IN_NONBLOCK) }.into())?;
    std::fs::create_dir(gate.path("watched"))?;
    let path = c_path(&gate.path("watched"))?;
    // SAFETY: the path outlives the call.
    Errno::result(unsafe { libc::inotify_add_watch(notices.as_raw_fd(), path.as_ptr(), libc::IN_CREATE) })?;
    gate.checkpoint()?;
    std::fs::write(gate.path("watched/new"), b"")?;
    check("a notice of the new file", read_once(&notices, 4096)?.windows(3).any(|w| w == b"new"))
}
