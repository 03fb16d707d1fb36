//! Watches of a file that was moved since, of one with two names of which one is gone, and of a directory below one that
//! was renamed.
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict};
use crate::tools_watch::{add, check_events, inotify};
use libc::{IN_CREATE, IN_MODIFY};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let notices = inotify()?;
    fs::create_dir_all(gate.path("old/inner"))?;
    fs::write(gate.path("moved"), b"")?;
    fs::write(gate.path("first"), b"")?;
    fs::hard_link(gate.path("first"), gate.path("second"))?;
    let moved = add(&notices, &gate.path("moved"), IN_MODIFY)?;
    let linked = add(&notices, &gate.path("second"), IN_MODIFY)?;
    let inner = add(&notices, &gate.path("old/inner"), IN_CREATE)?;
    fs::rename(gate.path("old"), gate.path("new"))?;
    fs::rename(gate.path("moved"), gate.path("new/inner/moved"))?;
    check_events("what came so far", &notices, &[])?;
    fs::remove_file(gate.path("first"))?;
    gate.checkpoint()?;
    fs::write(gate.path("new/inner/moved"), b"text")?;
    fs::write(gate.path("second"), b"text")?;
    File::create(gate.path("new/inner/born"))?;
    check_events("events", &notices, &[(moved, IN_MODIFY, ""), (linked, IN_MODIFY, ""), (inner, IN_CREATE, "born")])
}
