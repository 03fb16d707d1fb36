//! Marks of a fanotify group on files and directories: what is asked for, also of children, and what is ignored. The
//! restore itself is not noticed.
//@ routes: [once, thrice, kill-engine]
//@ needs: [kernel:fanotify, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::target;
use crate::tools_watch::{fan_events, fanotify, mark, masks, watches};
use libc::{FAN_EVENT_ON_CHILD, FAN_MARK_IGNORED_MASK, FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY, FAN_ONDIR, FAN_OPEN};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let dir = gate.path("dir");
    fs::create_dir_all(dir.join("sub"))?;
    for name in ["file", "dir/child", "dir/ignored", "once"] {
        fs::write(gate.path(name), b"text")?;
    }
    let group = fanotify(libc::FAN_CLASS_NOTIF | libc::FAN_UNLIMITED_QUEUE | libc::FAN_CLOEXEC)?;
    mark(&group, 0, FAN_OPEN | FAN_MODIFY, &gate.path("file"))?;
    mark(&group, 0, FAN_OPEN | FAN_EVENT_ON_CHILD | FAN_ONDIR, &dir)?;
    mark(&group, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_OPEN, &dir.join("ignored"))?;
    mark(&group, FAN_MARK_IGNORED_MASK, FAN_OPEN, &gate.path("once"))?;
    mark(&group, 0, FAN_OPEN, &gate.path("once"))?;
    let before = watches(&group)?;
    gate.checkpoint()?;
    check_eq("after the restore", masks(&group)?, vec![])?;
    check_eq("the marks", watches(&group)?, before)?;
    File::open(dir.join("child"))?;
    let events = fan_events(&group)?;
    check_eq("an open of a child", events.len(), 1)?;
    check_eq("its mask", events[0].mask, FAN_OPEN)?;
    check_eq("its file", events[0].file.as_ref().map(target).transpose()?, Some(dir.join("child")))?;
    drop(events);
    fs::write(dir.join("ignored"), b"more")?;
    File::open(dir.join("ignored"))?;
    check_eq("the ignored file", masks(&group)?, vec![])?;
    File::open(gate.path("once"))?;
    check_eq("ignored until it is changed", masks(&group)?, vec![])?;
    fs::write(gate.path("once"), b"changed")?;
    File::open(gate.path("once"))?;
    check_eq("not ignored any more", masks(&group)?.contains(&FAN_OPEN), true)?;
    fs::read_dir(dir.join("sub"))?;
    check_eq("an open of a directory", masks(&group)?, vec![FAN_OPEN])
}
