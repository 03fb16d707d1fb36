//! Deleted files keep their data and positions: an empty one, one with data, one that is also appended to.
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{position, read_once, stat, target, write_once};
use nix::unistd::{Whence, lseek};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    let place = gate.path("place");
    fs::create_dir(&place)?;
    let make = |name: &str, append: bool| {
        File::options().read(true).write(!append).append(append).create_new(true).open(place.join(name))
    };
    let (empty, full, log) = (make("empty", false)?, make("full", false)?, make("log", true)?);
    write_once(&full, b"0123456789")?;
    lseek(&full, 4, Whence::SeekSet)?;
    write_once(&log, b"first line\n")?;
    for name in ["empty", "full", "log"] {
        fs::remove_file(place.join(name))?;
    }
    gate.checkpoint()?;
    for (file, name) in [(&empty, "empty"), (&full, "full"), (&log, "log")] {
        check_eq("links", stat(file)?.st_nlink, 0)?;
        let link = format!("{} (deleted)", place.join(name).display());
        check_eq("the path", target(file)?.to_string_lossy().into_owned(), link)?;
    }
    check_eq("files left over where they were", fs::read_dir(&place)?.count(), 0)?;
    check_eq("the empty file", (stat(&empty)?.st_size, read_once(&empty, 1)?), (0, vec![]))?;
    check_eq("the rest of the full file", read_once(&full, 100)?, b"456789".to_vec())?;
    lseek(&full, 0, Whence::SeekSet)?;
    check_eq("all of the full file", read_once(&full, 100)?, b"0123456789".to_vec())?;
    lseek(&log, 0, Whence::SeekSet)?;
    write_once(&log, b"second line\n")?;
    check_eq("the position after appending", position(&log)?, 23)
}
