//! A file that became immutable while it was open for writing is refused; written again when it no longer is.
//@ dump-fails: chattr -i
//@ needs: [cap:linux_immutable]
use crate::gate::{Gate, Verdict};
use crate::tools_files::{IMMUTABLE, set_chattr, write_once};
use std::fs::File;

pub fn run(gate: &mut Gate) -> Verdict {
    let file = File::options().write(true).create_new(true).open(gate.path("file"))?;
    set_chattr(&file, IMMUTABLE, true)?;
    let passed = gate.checkpoint();
    set_chattr(&file, IMMUTABLE, false)?;
    passed?;
    write_once(&file, b"data")
}
