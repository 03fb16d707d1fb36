//! A message that is longer than what may be sent by now cannot be read without taking it: refused by name.
//@ flavours: [ns]
//@ dump-fails: a message is longer than kernel.msgmax allows
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict};
use crate::tools_ipc::{check_messages, queue, send};

pub fn run(gate: &mut Gate) -> Verdict {
    let id = queue(libc::IPC_PRIVATE, 0o600)?;
    send(id, 4, &[7; 2000])?;
    std::fs::write("/proc/sys/kernel/msgmax", "1000")?;
    gate.checkpoint()?;
    check_messages(id, &[(4, &[7; 2000])])
}
