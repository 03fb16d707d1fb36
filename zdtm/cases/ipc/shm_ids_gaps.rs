//! Ids with gaps between them, of objects of each kind: those that were removed are free.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_ipc::{about_queue, about_segment, about_set, queue, remove_segment, remove_set, segment, set};

pub fn run(gate: &mut Gate) -> Verdict {
    let segments = (0..9).map(|_| segment(libc::IPC_PRIVATE, 1, 0o600)).collect::<Verdict<Vec<_>>>()?;
    let sets = (0..9).map(|n| set(libc::IPC_PRIVATE, 0o600, &[n])).collect::<Verdict<Vec<_>>>()?;
    segments.iter().step_by(2).try_for_each(|id| remove_segment(*id))?;
    sets.iter().take(7).try_for_each(|id| remove_set(*id))?;
    // One whose place was used before has a sequence number in its id.
    let (again, queue) = (segment(libc::IPC_PRIVATE, 3, 0o600)?, queue(libc::IPC_PRIVATE, 0o600)?);
    check("a place is used again", !segments.contains(&again))?;
    gate.checkpoint()?;
    for (n, id) in segments.iter().enumerate() {
        check_eq("whether a segment is there", about_segment(*id).is_ok(), n % 2 == 1)?;
    }
    for (n, id) in sets.iter().enumerate() {
        check_eq("whether a set is there", about_set(*id).is_ok(), n >= 7)?;
    }
    check_eq("the size of the last", about_segment(again)?.1, 3 * crate::tools_memory::page())?;
    check_eq("the queue's messages", about_queue(queue)?.2, 0)
}
