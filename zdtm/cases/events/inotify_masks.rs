//! Watches of files and directories keep their masks; what was asked for is noticed, and the restore itself is not.
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_watch::{add, check_events, inotify, watches};
use libc::{IN_ALL_EVENTS, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_ISDIR, IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO};
use std::fs;

pub fn run(gate: &mut Gate) -> Verdict {
    let dir = gate.path("dir");
    fs::create_dir_all(dir.join("sub"))?;
    fs::write(dir.join("file"), b"text")?;
    let (notices, empty) = (inotify()?, inotify()?);
    let on_dir = add(&notices, &dir, IN_CREATE | IN_DELETE)?;
    // The second call replaces a mask, the third adds to it.
    add(&notices, &dir, IN_CREATE)?;
    add(&notices, &dir, libc::IN_MOVED_FROM | IN_MOVED_TO | libc::IN_MASK_ADD)?;
    let on_file = add(&notices, &dir.join("file"), IN_MODIFY | libc::IN_ATTRIB)?;
    // Not what a copy of the scratch directory does.
    let all = IN_ALL_EVENTS & !(libc::IN_OPEN | libc::IN_ACCESS | libc::IN_CLOSE_NOWRITE);
    let on_sub = add(&notices, &dir.join("sub"), all | libc::IN_ONLYDIR)?;
    let before = watches(&notices)?;
    gate.checkpoint()?;
    check_events("after the restore", &notices, &[])?;
    check_eq("the watches", watches(&notices)?, before)?;
    check_eq("watches of an empty instance", watches(&empty)?, vec![])?;
    fs::write(dir.join("file"), b"more")?;
    // Truncated and written: equal events become one.
    check_events("writing the file", &notices, &[(on_file, IN_MODIFY, "")])?;
    fs::write(dir.join("new"), b"")?;
    fs::remove_file(dir.join("new"))?;
    check_events("a new file", &notices, &[(on_dir, IN_CREATE, "new")])?;
    fs::write(dir.join("sub/inner"), b"")?;
    let made = [(on_sub, IN_CREATE, "inner"), (on_sub, IN_CLOSE_WRITE, "inner")];
    check_events("a file in the other directory", &notices, &made)?;
    fs::rename(dir.join("file"), dir.join("renamed"))?;
    let moved = [(on_dir, IN_MOVED_FROM, "file"), (on_dir, IN_MOVED_TO, "renamed")];
    check_events("a move", &notices, &moved)?;
    fs::create_dir(dir.join("another"))?;
    check_events("a new directory", &notices, &[(on_dir, IN_CREATE | IN_ISDIR, "another")])
}
