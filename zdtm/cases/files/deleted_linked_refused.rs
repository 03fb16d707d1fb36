//! Without --link-remap a file whose name is gone, but not its last link, is refused; the error names the option.
//@ dump-fails: link-remap
use crate::gate::{Gate, Verdict, check_eq};
use crate::tools_files::{read_once, stat};
use std::fs::{self, File};

pub fn run(gate: &mut Gate) -> Verdict {
    fs::write(gate.path("name"), b"data")?;
    fs::hard_link(gate.path("name"), gate.path("other"))?;
    let file = File::open(gate.path("name"))?;
    fs::remove_file(gate.path("name"))?;
    gate.checkpoint()?;
    check_eq("links", stat(&file)?.st_nlink, 1)?;
    check_eq("what the file says", read_once(&file, 10)?, b"data".to_vec())
}
