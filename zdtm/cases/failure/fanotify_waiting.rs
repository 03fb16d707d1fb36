//! A fanotify group that decides about accesses is refused while events wait in it; it still has them.
//@ dump-fails: "events wait in it"
//@ needs: [kernel:fanotify, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_watch::{fanotify, mark, masks};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    fs::write(gate.path("file"), b"")?;
    let group = fanotify(libc::FAN_CLASS_CONTENT)?;
    mark(&group, 0, libc::FAN_OPEN, &gate.path("file"))?;
    File::open(gate.path("file"))?;
    gate.checkpoint()?;
    check_eq("the event", masks(&group)?, vec![libc::FAN_OPEN])
}
