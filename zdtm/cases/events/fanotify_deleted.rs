//! A mark on a deleted file that is open still notices.
//@ needs: [kernel:fanotify, cap:sys_admin]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::write_once;
use crate::tools_watch::{fan_events, fanotify, mark, masks};
use libc::{FAN_CLOSE_WRITE, FAN_MODIFY};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::create(gate.path("file"))?;
    let group = fanotify(0)?;
    mark(&group, 0, FAN_MODIFY | FAN_CLOSE_WRITE, &gate.path("file"))?;
    fs::remove_file(gate.path("file"))?;
    gate.checkpoint()?;
    check_eq("after the restore", masks(&group)?, vec![])?;
    write_once(&file, b"text")?;
    let events = fan_events(&group)?;
    check_eq("the events", events.iter().map(|event| event.mask).collect::<Vec<_>>(), vec![FAN_MODIFY])?;
    drop((events, file));
    check_eq("the end", masks(&group)?, vec![FAN_CLOSE_WRITE])
}
