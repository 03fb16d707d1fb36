//! A fanotify group that reports names and handles instead of files (FAN_REPORT_DFID_NAME) still does.
//@ needs: [kernel:5.9, kernel:fanotify, cap:sys_admin]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_watch::{fan_events, fanotify, mark, watches};
use libc::{FAN_CREATE, FAN_DELETE, FAN_ONDIR};
use std::fs;

const REPORT_FID: u32 = 0x200;
const REPORT_DIR_NAME: u32 = 0xc00;

pub fn run(gate: &mut Gate) -> Verdict {
    let dir = gate.path("dir");
    fs::create_dir(&dir)?;
    fs::write(dir.join("an-old-file"), b"")?;
    let group = fanotify(REPORT_FID | REPORT_DIR_NAME)?;
    mark(&group, 0, FAN_CREATE | FAN_DELETE | FAN_ONDIR, &dir)?;
    let before = watches(&group)?;
    gate.checkpoint()?;
    check_eq("the marks", watches(&group)?, before)?;
    fs::write(dir.join("a-new-file"), b"")?;
    fs::create_dir(dir.join("a-new-directory"))?;
    fs::remove_file(dir.join("an-old-file"))?;
    let events = fan_events(&group)?;
    let masks: Vec<u64> = events.iter().map(|event| event.mask).collect();
    check_eq("the masks", masks, vec![FAN_CREATE, FAN_CREATE | FAN_ONDIR, FAN_DELETE])?;
    for (event, name) in events.iter().zip(["a-new-file", "a-new-directory", "an-old-file"]) {
        let named = event.records.windows(name.len()).any(|part| part == name.as_bytes());
        check(&format!("{name} is named"), named && event.file.is_none())?;
    }
    Ok(())
}
