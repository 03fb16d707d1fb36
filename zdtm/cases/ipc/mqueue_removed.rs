//! A POSIX message queue without a name, beside another that has the name by now; open for reading alone and for writing
//! alone.
//@ flavours: [ns]
//@ needs: [kernel:mqueue]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_mqueue::{NEW, check_messages, open, receive, send, unlink};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let writer = open(c"/zdtm", libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 3, 100)?;
    let reader = open(c"/zdtm", libc::O_RDONLY | libc::O_NONBLOCK, 0, 0)?;
    unlink(c"/zdtm")?;
    let other = open(c"/zdtm", NEW | libc::O_NONBLOCK, 2, 50)?;
    send(&writer, 1, b"first")?;
    send(&other, 1, b"of the other")?;
    gate.checkpoint()?;
    send(&writer, 1, b"second")?;
    check_eq("writing through the reader", send(&reader, 1, b"no"), Err(Errno::EBADF))?;
    check_eq("reading through the writer", receive(&writer), Err(Errno::EBADF))?;
    check_messages(&reader, &[(1, b"first"), (1, b"second")])?;
    check_messages(&other, &[(1, b"of the other")])
}
