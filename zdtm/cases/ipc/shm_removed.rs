//! A segment that was removed lives on where it is attached, with its id and without its key.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_ipc::{KEY, about_segment, attach, remove_segment, segment};
use nix::errno::Errno;

pub fn run(gate: &mut Gate) -> Verdict {
    let id = segment(KEY, 2, 0o600)?;
    let area = attach(id, 2, 0)?;
    area.fill(3);
    remove_segment(id)?;
    let before = about_segment(id)?;
    gate.checkpoint()?;
    area.check_fill("the segment", 3)?;
    check_eq("what is known of it", about_segment(id)?, before)?;
    // SAFETY: nothing refers to the attachment any more.
    Errno::result(unsafe { libc::shmdt(area.at(0) as *const libc::c_void) })?;
    match about_segment(id) {
        Err(_) => Ok(()),
        Ok(about) => fail(format!("it is there without an attachment: {about:?}")),
    }
}
