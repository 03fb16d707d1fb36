//! A segment of shared memory that is attached: contents, id, key, mode, number of attachments.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{KEY, about_segment, attach, segment};

pub fn run(gate: &mut Gate) -> Verdict {
    let id = segment(KEY, 4, 0o640)?;
    let area = attach(id, 4, 0)?;
    area.fill(1);
    let before = about_segment(id)?;
    gate.checkpoint()?;
    area.check_fill("the segment", 1)?;
    check_eq("what is known of it", about_segment(id)?, before)?;
    // SAFETY: integers only.
    check_eq("the id of the key", unsafe { libc::shmget(KEY, 0, 0) }, id)?;
    attach(id, 4, 0)?.check_fill("the segment attached once more", 1)
}
