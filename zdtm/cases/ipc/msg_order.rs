//! Messages of several types and sizes in a queue, an empty one among them: their order, and by type.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{KEY, about_queue, check_messages, queue, receive, send};

pub fn run(gate: &mut Gate) -> Verdict {
    let id = queue(KEY, 0o600)?;
    let long = vec![0x5a; 4001];
    for (kind, text) in [(3, &b"first"[..]), (1, b""), (9, &long), (3, b"fourth"), (i64::MAX, b"fifth")] {
        send(id, kind, text)?;
    }
    let before = about_queue(id)?;
    gate.checkpoint()?;
    check_eq("what is known of it", about_queue(id)?, before)?;
    check_eq("the first of type 9", receive(id, 9, libc::IPC_NOWAIT)?, (9, long))?;
    check_messages(id, &[(3, b"first"), (1, b""), (3, b"fourth"), (i64::MAX, b"fifth")])
}
