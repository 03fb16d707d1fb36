//! Watches keep their numbers, also with gaps between them, and the next one gets the next.
//@ needs: [kernel:inotify]
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_watch::{add, check_events, inotify, remove};
use libc::IN_MODIFY;
use std::fs;

pub fn run(gate: &mut Gate) -> Verdict {
    let notices = inotify()?;
    let files: Vec<_> = (0..40).map(|n| gate.path(&format!("file{n}"))).collect();
    for (n, file) in files.iter().enumerate() {
        fs::write(file, b"")?;
        check_eq("a number", add(&notices, file, IN_MODIFY)?, n as i32 + 1)?;
    }
    for n in (0..39).filter(|n| n % 7 != 3) {
        remove(&notices, n + 1)?;
    }
    gate.checkpoint()?;
    for (n, file) in files.iter().enumerate() {
        fs::write(file, b"more")?;
        match n % 7 == 3 || n == 39 {
            true => check_events("a write", &notices, &[(n as i32 + 1, IN_MODIFY, "")])?,
            false => check_events("a write that nobody watches", &notices, &[])?,
        }
    }
    check_eq("the number of an old watch", add(&notices, &files[3], IN_MODIFY)?, 4)?;
    check_eq("the number of a new watch", add(&notices, &files[0], IN_MODIFY)?, 41)
}
