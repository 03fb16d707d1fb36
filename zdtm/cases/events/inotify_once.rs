//! A watch for one event (IN_ONESHOT) that has not come yet, and one that is not told of unlinked files (IN_EXCL_UNLINK).
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::write_once;
use crate::tools_watch::{add, check_events, inotify, watches};
use libc::{IN_DELETE, IN_IGNORED, IN_MODIFY};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let (notices, dir) = (inotify()?, gate.path("dir"));
    fs::create_dir(&dir)?;
    fs::write(gate.path("once"), b"")?;
    let once = add(&notices, &gate.path("once"), IN_MODIFY | libc::IN_ONESHOT)?;
    let linked = add(&notices, &dir, IN_MODIFY | IN_DELETE | libc::IN_EXCL_UNLINK)?;
    let file = File::create(dir.join("file"))?;
    let before = watches(&notices)?;
    gate.checkpoint()?;
    check_eq("the watches", watches(&notices)?, before)?;
    fs::write(gate.path("once"), b"text")?;
    check_events("the one event", &notices, &[(once, IN_MODIFY, ""), (once, IN_IGNORED, "")])?;
    fs::write(gate.path("once"), b"more")?;
    check_events("no other", &notices, &[])?;
    write_once(&file, b"linked")?;
    fs::remove_file(dir.join("file"))?;
    check_events("while it has a name", &notices, &[(linked, IN_MODIFY, "file"), (linked, IN_DELETE, "file")])?;
    write_once(&file, b"unlinked")?;
    check_events("without a name", &notices, &[])
}
