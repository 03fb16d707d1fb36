//! A segment attached twice, once to be read only: one memory, and what may not be written cannot be made writable.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{about_segment, attach, segment};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let id = segment(libc::IPC_PRIVATE, 2, 0o600)?;
    let (writer, reader) = (attach(id, 2, 0)?, attach(id, 2, libc::SHM_RDONLY)?);
    writer.fill(1);
    gate.checkpoint()?;
    reader.check_fill("the segment", 1)?;
    writer.fill(2);
    reader.check_fill("the segment after it was changed", 2)?;
    check_eq("attachments", about_segment(id)?.2, 2)?;
    let write = libc::PROT_READ | libc::PROT_WRITE;
    check_eq("making the second writable", reader.protect(write), Err(Errno::EACCES))
}
