//! An io_uring is refused by name; it still completes what is submitted.
//@ dump-fails: "[io_uring]"
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::owned;
use nix::errno::Errno;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    // struct io_uring_params is 120 bytes; zeros are the defaults.
    let mut parameters = [0u32; 30];
    // SAFETY: the structure outlives the call.
    let ring = owned(unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) })?;
    gate.checkpoint()?;
    // Nothing to submit, nothing to wait for.
    let entered =
        // SAFETY: integers and a null pointer.
        unsafe { libc::syscall(libc::SYS_io_uring_enter, ring.as_raw_fd(), 0, 0, 0, std::ptr::null::<u8>(), 0) };
    check_eq("entering the ring", Errno::result(entered)?, 0)
}
