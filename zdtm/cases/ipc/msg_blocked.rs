//! A child that waits for a message of a type goes on waiting, and gets it.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools::wait_ok;
use crate::tools_ipc::{queue, receive, send};
use crate::tools_tasks::await_state;

pub fn run(gate: &mut Gate) -> Verdict {
    let id = queue(libc::IPC_PRIVATE, 0o600)?;
    send(id, 1, b"not this")?;
    let child = gate.fork(|_| check_eq("the message", receive(id, 2, 0)?, (2, b"this".to_vec())))?;
    await_state(child, "S")?;
    gate.checkpoint()?;
    send(id, 2, b"this")?;
    wait_ok(child)
}
