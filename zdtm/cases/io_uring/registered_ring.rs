//! A thread that has registered its ring, to enter it by another number than that of a descriptor, is refused.
//@ dump-fails: "it has registered an io_uring instance for itself"
//@ unseen: it is asked of the thread itself
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_uring::Ring;
use nix::errno::Errno;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    const RING_FDS: u32 = 20;
    const ENTER_REGISTERED_RING: u32 = 1 << 4;
    let mut ring = Ring::new(8)?;
    // struct io_uring_rsrc_update: the number 3, then the descriptor.
    let number = [3u32.to_ne_bytes(), [0; 4]].concat();
    let list = [u64::from_ne_bytes(number.as_chunks().0[0]), ring.fd.as_raw_fd() as u64];
    check_eq("rings registered", ring.register(RING_FDS, &list, 1)?, 1)?;
    gate.checkpoint()?;
    let none = std::ptr::null::<u8>();
    // SAFETY: nothing is submitted.
    let entered = unsafe { libc::syscall(libc::SYS_io_uring_enter, 3, 0, 0, ENTER_REGISTERED_RING, none, 0) };
    check_eq("entering it by that number", Errno::result(entered)?, 0)?;
    ring.check_works(10)
}
