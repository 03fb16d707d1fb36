//! A context of a file system being configured is refused by name; it can be finished.
//@ dump-fails: "[fscontext]"
//@ needs: [cap:sys_admin]
use crate::gate::{Gate, Verdict};
use crate::tools_files::owned;
use nix::errno::Errno;
use std::os::fd::AsRawFd;

const FSCONFIG_CMD_CREATE: i32 = 6;

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the name outlives the call.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 0) })?;
    gate.checkpoint()?;
    let null = std::ptr::null::<u8>();
    // SAFETY: integers and null pointers, as this command takes them.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, null, null, 0)
    })?;
    // SAFETY: integers only.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 0, 0) }).map(drop)
}
