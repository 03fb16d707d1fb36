//! A segment of an IPC namespace that the process has left is refused by name.
//@ flavours: [ns]
//@ dump-fails: its segment is not in the IPC namespace of the tree
//@ needs: [kernel:sysvipc]
use crate::gate::{Gate, Verdict};
use crate::tools_ipc::{KEY, attach, segment};
use nix::sched::{CloneFlags, unshare};

pub fn run(gate: &mut Gate) -> Verdict {
    let area = attach(segment(KEY, 2, 0o600)?, 2, 0)?;
    area.fill(1);
    unshare(CloneFlags::CLONE_NEWIPC)?;
    gate.checkpoint()?;
    area.check_fill("the segment", 1)
}
