//! A POSIX message queue is refused by name; its messages stay.
//@ dump-fails: zdtm-queue
//@ needs: [kernel:mqueue]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::owned;
use nix::errno::Errno;
use std::ffi::CString;
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    // SAFETY: the kernel gives the address of sixteen random bytes.
    let random = unsafe { (libc::getauxval(libc::AT_RANDOM) as *const u64).read_unaligned() };
    let name = CString::new(format!("/zdtm-queue-{random:x}"))?;
    // SAFETY: the name outlives the calls; without attributes the kernel's defaults hold.
    let queue = unsafe {
        let made = libc::mq_open(name.as_ptr(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600, 0usize);
        libc::mq_unlink(name.as_ptr());
        owned(made.into())?
    };
    // SAFETY: the text outlives the call.
    Errno::result(unsafe { libc::mq_send(queue.as_raw_fd(), c"message".as_ptr(), 7, 3) })?;
    gate.checkpoint()?;
    let (mut text, mut priority) = (vec![0u8; 16 << 10], 0);
    let got =
        // SAFETY: the buffer has the length given.
        unsafe { libc::mq_receive(queue.as_raw_fd(), text.as_mut_ptr().cast(), text.len(), &mut priority) };
    check_eq("length and priority", (got, priority), (7, 3))?;
    check_eq("the message", &text[..7], &b"message"[..])
}
