//! Marks that may be forgotten (FAN_MARK_EVICTABLE) and those that ignore by the newer rules (FAN_MARK_IGNORE).
//@ needs: [kernel:6.0, kernel:fanotify, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_watch::{fanotify, mark, masks, watches};
use libc::{FAN_CLOSE_WRITE, FAN_EVENT_ON_CHILD, FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY};
use std::fs;

const EVICTABLE: u32 = 0x200;
const IGNORE: u32 = 0x400;

pub fn run(gate: &mut Gate) -> Verdict {
    fs::create_dir(gate.path("dir"))?;
    fs::write(gate.path("dir/file"), b"")?;
    let group = fanotify(0)?;
    mark(&group, EVICTABLE, FAN_MODIFY | FAN_CLOSE_WRITE, &gate.path("dir/file"))?;
    let ignore = IGNORE | FAN_MARK_IGNORED_SURV_MODIFY;
    mark(&group, ignore, FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD, &gate.path("dir"))?;
    let before = watches(&group)?;
    gate.checkpoint()?;
    check_eq("the marks", watches(&group)?, before)?;
    fs::write(gate.path("dir/file"), b"text")?;
    check_eq("what is not ignored", masks(&group)?, vec![FAN_MODIFY])
}
