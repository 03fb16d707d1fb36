//! Two removed segments that were made with one key, which a third has by now.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{KEY, attach, remove_segment, segment};

pub fn run(gate: &mut Gate) -> Verdict {
    let mut areas = Vec::new();
    for number in 0..3 {
        let id = segment(KEY, 1, 0o600)?;
        let area = attach(id, 1, 0)?;
        area.fill(number);
        if number < 2 {
            remove_segment(id)?;
        }
        areas.push((id, area));
    }
    gate.checkpoint()?;
    for (number, (_, area)) in areas.iter().enumerate() {
        area.check_fill("a segment", number as u64)?;
    }
    // SAFETY: integers only.
    check_eq("the id of the key", unsafe { libc::shmget(KEY, 0, 0) }, areas[2].0)
}
