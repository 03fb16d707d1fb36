//! A file that came with an event of fanotify stays open. That its use is not noticed, as the kernel's own flag says, is
//! lost.
//@ needs: [kernel:fanotify, cap:sys_admin]
//@ witness: -flags # the kernel alone sets the flag of such files
use crate::gate::{Gate, Verdict, check_eq, fail};
use crate::tools_files::{read_once, target};
use crate::tools_watch::{fan_events, fanotify, mark};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    fs::write(gate.path("file"), b"content")?;
    let group = fanotify(0)?;
    mark(&group, 0, libc::FAN_OPEN, &gate.path("file"))?;
    File::open(gate.path("file"))?;
    let Some(file) = fan_events(&group)?.remove(0).file else { return fail("the event has no file") };
    check_eq("before", read_once(&file, 3)?, b"con".to_vec())?;
    gate.checkpoint()?;
    check_eq("the rest", read_once(&file, 10)?, b"tent".to_vec())?;
    check_eq("the path", target(&file)?, gate.path("file"))
}
