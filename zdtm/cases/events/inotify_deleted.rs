//! Watches of a deleted file that is open and of a deleted directory that is the working directory: they notice what is
//! done with them, and their end.
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::write_once;
use crate::tools_watch::{add, check_events, inotify};
use libc::{IN_CLOSE_WRITE, IN_DELETE_SELF, IN_IGNORED, IN_MODIFY};
use std::fs::{self, File};
use std::os::fd::AsRawFd;

pub fn run(gate: &mut Gate) -> Verdict {
    let notices = inotify()?;
    let file = File::create(gate.path("file"))?;
    write_once(&file, b"text")?;
    fs::create_dir(gate.path("dir"))?;
    let on_file = add(&notices, &gate.path("file"), IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE_SELF)?;
    let on_dir = add(&notices, &gate.path("dir"), IN_DELETE_SELF)?;
    std::env::set_current_dir(gate.path("dir"))?;
    fs::remove_file(gate.path("file"))?;
    fs::remove_dir(gate.path("dir"))?;
    check_events("before", &notices, &[])?;
    gate.checkpoint()?;
    check_events("after the restore", &notices, &[])?;
    write_once(&file, b"more")?;
    check_events("a write", &notices, &[(on_file, IN_MODIFY, "")])?;
    let again = add(&notices, format!("/proc/self/fd/{}", file.as_raw_fd()).as_ref(), IN_MODIFY | libc::IN_MASK_ADD)?;
    check_eq("it is the watched file", again, on_file)?;
    drop(file);
    let end = [(on_file, IN_CLOSE_WRITE, ""), (on_file, IN_DELETE_SELF, ""), (on_file, IN_IGNORED, "")];
    check_events("its end", &notices, &end)?;
    std::env::set_current_dir(gate.dir())?;
    check_events("the directory's end", &notices, &[(on_dir, IN_DELETE_SELF, ""), (on_dir, IN_IGNORED, "")])
}
