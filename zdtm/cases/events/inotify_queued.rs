//! Events that were not read are lost with a restore, all of them; what comes later is noticed.
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_watch::{add, events, inotify};
use libc::{IN_CLOSE_WRITE, IN_MODIFY};
use std::fs;

pub fn run(gate: &mut Gate) -> Verdict {
    let notices = inotify()?;
    fs::write(gate.path("file"), b"")?;
    let number = add(&notices, &gate.path("file"), IN_MODIFY | IN_CLOSE_WRITE)?;
    fs::write(gate.path("file"), b"text")?;
    gate.checkpoint()?;
    // A process that was dumped and runs on has them.
    let queued = events(&notices)?;
    let both: Vec<_> = [IN_MODIFY, IN_CLOSE_WRITE].map(|mask| (number, mask, String::new())).into();
    check("nothing or all is left", queued.is_empty() || queued == both)?;
    fs::write(gate.path("file"), b"more")?;
    check_eq("what comes later", events(&notices)?, both)
}
