//! An open device that the engine does not know is refused by its path; it still works.
//@ dump-fails: /dev/kmsg
use crate::gate::{Gate, Verdict, check};
use crate::tools_files::read_once;
use nix::errno::Errno;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;

pub fn run(gate: &mut Gate) -> Verdict {
    let log = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
    let first = read_once(&log, 8192);
    check("the kernel's log can be read", matches!(first, Ok(_) | Err(Errno::EPIPE | Errno::EAGAIN)))?;
    gate.checkpoint()?;
    let next = read_once(&log, 8192);
    check("it can be read on", matches!(next, Ok(_) | Err(Errno::EPIPE | Errno::EAGAIN)))
}
