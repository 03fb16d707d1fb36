//! Events that were not read are lost with a restore, all of them; what comes later is noticed.
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check, check_eq};
use crate::tools_watch::{add, events, inotify};
use libc::{IN_CLOSE_NOWRITE, IN_OPEN};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let notices = inotify()?;
    fs::write(gate.path("file"), b"")?;
    let number = add(&notices, &gate.path("file"), IN_OPEN | IN_CLOSE_NOWRITE)?;
    File::open(gate.path("file"))?;
    gate.checkpoint()?;
    // A process that was dumped and runs on has them.
    let queued = events(&notices)?;
    let both: Vec<_> = [IN_OPEN, IN_CLOSE_NOWRITE].map(|mask| (number, mask, String::new())).into();
    check("nothing or all is left", queued.is_empty() || queued == both)?;
    File::open(gate.path("file"))?;
    check_eq("what comes later", events(&notices)?, both)
}
