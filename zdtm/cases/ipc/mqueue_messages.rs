//! A POSIX message queue: name, attributes, mode, and messages with their priorities in their order.
//@ flavours: [ns]
//@ needs: [kernel:mqueue]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_mqueue::{NEW, attributes, check_messages, open, send};

pub fn run(gate: &mut Gate) -> Verdict {
    let queue = open(c"/zdtm", NEW | libc::O_NONBLOCK, 7, 500)?;
    let long = [9; 500];
    for (priority, text) in [(1, &b"c"[..]), (32767, b"a"), (1, b"d"), (0, b""), (5, b"b"), (1, &long), (0, b"last")] {
        send(&queue, priority, text)?;
    }
    let before = attributes(&queue)?;
    gate.checkpoint()?;
    check_eq("the attributes", attributes(&queue)?, before)?;
    check_eq("one more", send(&queue, 1, b"no"), Err(nix::errno::Errno::EAGAIN))?;
    let other = open(c"/zdtm", libc::O_RDONLY | libc::O_NONBLOCK, 0, 0)?;
    check_messages(&other, &[(32767, b"a"), (5, b"b"), (1, b"c"), (1, b"d"), (1, &long), (0, b""), (0, b"last")])
}
