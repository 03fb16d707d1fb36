//! A ring that is not enabled yet is refused.
//@ dump-fails: "it is not enabled yet (IORING_SETUP_R_DISABLED)"
//@ needs: [kernel:io_uring]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_uring::{R_DISABLED, Ring};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    const ENABLE: u32 = 12;
    let mut ring = Ring::with(8, 0, R_DISABLED)?;
    gate.checkpoint()?;
    check_eq("entering it", ring.enter(0, 1), Err(Errno::EBADFD))?;
    // SAFETY: the operation takes no argument.
    let enabled = unsafe {
        libc::syscall(libc::SYS_io_uring_register, std::os::fd::AsRawFd::as_raw_fd(&ring.fd), ENABLE, 0usize, 0)
    };
    Errno::result(enabled)?;
    ring.check_works(20)
}
