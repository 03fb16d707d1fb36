//! The ids that the next objects are to get, where somebody asked for them.
//@ flavours: [ns]
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_ipc::{queue, segment, set};

pub fn run(gate: &mut Gate) -> Verdict {
    for (kind, id) in [("shm", 70), ("msg", 80), ("sem", 90)] {
        std::fs::write(format!("/proc/sys/kernel/{kind}_next_id"), id.to_string())?;
    }
    gate.checkpoint()?;
    let made = [segment(libc::IPC_PRIVATE, 1, 0o600)?, queue(libc::IPC_PRIVATE, 0o600)?];
    check_eq("the new ids", made, [70, 80])?;
    check_eq("that of the semaphores", set(libc::IPC_PRIVATE, 0o600, &[0])?, 90)
}
