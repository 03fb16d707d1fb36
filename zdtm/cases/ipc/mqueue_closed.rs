//! A POSIX message queue that nobody has open keeps its messages.
//@ flavours: [ns]
//@ needs: [kernel:mqueue]
use crate::gate::{Gate, Verdict};
use crate::tools_mqueue::{NEW, check_messages, open, send};

pub fn run(gate: &mut Gate) -> Verdict {
    send(&open(c"/zdtm-closed", NEW, 3, 100)?, 2, b"kept")?;
    gate.checkpoint()?;
    check_messages(&open(c"/zdtm-closed", libc::O_RDWR | libc::O_NONBLOCK, 0, 0)?, &[(2, b"kept")])
}
