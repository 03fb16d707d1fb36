//! Where segments go with their last attachment, one without any could not be made again: refused by name.
//@ flavours: [ns]
//@ dump-fails: shm_rmid_forced
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict};
use crate::tools_ipc::{about_segment, segment};

pub fn run(gate: &mut Gate) -> Verdict {
    let id = segment(libc::IPC_PRIVATE, 1, 0o600)?;
    std::fs::write("/proc/sys/kernel/shm_rmid_forced", "1")?;
    gate.checkpoint()?;
    about_segment(id).map(drop)
}
